"""`python -m dt_export ...`."""

from dt_export.cli import main

main()
