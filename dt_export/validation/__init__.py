"""Proofs that an artifact does what its checkpoint does."""

from dt_export.validation.parity import check
from dt_export.validation.report import Report

__all__ = ["Report", "check"]
