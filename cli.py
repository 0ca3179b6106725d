"""`python cli.py ...` from a checkout."""

from dt_export.cli import main

main()
