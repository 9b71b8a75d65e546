"""Temporal detection: what becomes of proposals."""

from mma82cli.detection.suppression import Kept, suppress

__all__ = ["Kept", "suppress"]
