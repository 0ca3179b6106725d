"""Reports as HTML pages: one file each, which loads nothing and runs no script."""
