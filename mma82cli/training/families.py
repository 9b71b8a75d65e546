"""The families of recipes: what a recipe's `model` is trained with, and how its checkpoints are used."""

from __future__ import annotations

from mma82cli.models import MODELS

FAMILIES = {name: kind for name, kind in MODELS.items() if kind.command}
