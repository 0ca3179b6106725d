"""`python -m dt_export ...`."""

from dt_export.cli.entry import main

main()
