"""What fresh processes run up to their first action, one program per file.

``cold.py`` runs them by path, never as part of this package: importing ``dt_export`` would be
counted, and ``dt_runtime`` must start without it. Each has ``first_action(given)``, and imports at
the top what its users import.
"""
