"""`python cli.py ...` from a checkout."""

from dt_export.entry import main

main()
