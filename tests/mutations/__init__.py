"""Artifacts that are broken on purpose, each of which validation must reject."""
