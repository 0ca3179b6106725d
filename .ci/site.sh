# The documentation as a site; a broken link or anchor fails.
source "$(dirname "$0")/common.sh"
enter main
pip install -c constraints.txt -e 'runtimes/python[cpu]' -e '.[docs]'
mkdocs build --strict --quiet --site-dir "$WORK/site"
echo "$(find "$WORK/site" -name '*.html' | wc -l) pages"
