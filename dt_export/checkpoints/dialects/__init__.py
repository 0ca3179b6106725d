"""One file a dialect, each with `detect` and `load`."""
