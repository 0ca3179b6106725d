# Style, types and layers.
source "$(dirname "$0")/common.sh"
enter main
pip install -c constraints.txt -e 'runtimes/python[cpu]' -e '.[test,docs]'
pip check
ruff check .
ruff format --check .
lint-imports
mypy
