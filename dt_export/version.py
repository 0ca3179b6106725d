"""The version: hatch reads it from here, and the package's own modules import it from here."""

__version__ = "0.1.0"
