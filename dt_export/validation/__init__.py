"""Proofs that an artifact does what its checkpoint does."""

from dt_export.validation.parity import TOLERANCE, Report, check

__all__ = ["TOLERANCE", "Report", "check"]
