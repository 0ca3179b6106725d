"""`python -m dt_export ...`."""

from dt_export.entry import main

main()
