"""`python cli.py ...` from a checkout."""

from dt_export.cli.entry import main

main()
