"""What a family of skeleton networks reads of clips; `heatmap_inputs` and `joint_inputs` are the two kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from mma82cli.devices import upload
from mma82cli.records import DataError
from mma82cli.skeleton import resampling
from mma82cli.skeleton.layouts import Layout

if TYPE_CHECKING:
    from mma82cli.training.skeleton.clips import Clips


class Inputs:
    """Batches for a network, out of clips of a layout, as a recipe has it. All random draws are `rng`'s."""

    reads = "joint"  # of what the network has one channel each
    first = 0  # numbers that its first layer makes of a clip in training; 0: a clip depends on those beside it

    def __init__(self, recipe, layout: Layout):
        self.recipe, self.layout = recipe, layout

    def __len__(self) -> int:
        """Joints, or limbs, that the network reads."""
        return len(self.layout)

    def make(self, classes: int) -> nn.Module:
        """A new network; see `network`."""
        raise NotImplementedError

    def network(self, classes: int, seed: int = 0) -> nn.Module:
        """A new network that scores `classes` labels, initialised by `seed`."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return self.make(classes)

    def check(self, model: nn.Module) -> None:
        """Raises DataError where the network reads other joints."""
        if model.reads != len(self):
            found = f"the checkpoint reads {model.reads} {self.reads}s, layout {self.layout.name} has {len(self)}"
            raise DataError(f"{found}; expected the layout it was trained with (--layout)")

    def scratch(self) -> Any:
        """Memory to be kept from batch to batch."""
        return None

    def train(self, clips: Clips, rows: np.ndarray, rng: np.random.Generator, scratch=None) -> Tensor:
        """The clips `rows` (B,), augmented -> (B, …)."""
        raise NotImplementedError

    def test(self, clips: Clips, rows: np.ndarray, num_clips: int, scratch=None) -> Tensor:
        """The `num_clips` fixed test clips of each of the clips `rows` (B,) -> (B * num_clips, …), those of a clip together."""
        raise NotImplementedError

    def steadied(self, points: Tensor) -> Tensor:
        """Joints (B, M, T, V, 3) as a camera sees them that follows the body, where the recipe is `steady`."""
        return resampling.steadied(points) if self.recipe.steady else points

    def nearer(self, points: Tensor, rng: np.random.Generator) -> Tensor:
        """Joints (B, M, T, V, 3), some clips of them as a nearer camera sees them (the recipe's `crop`)."""
        recipe, batch, device = self.recipe, len(points), points.device
        if not recipe.crop:
            return points
        sides = 1 - (1 - recipe.crop_side) * rng.random((batch, 2))
        side, place = (upload(draws, device, torch.float32) for draws in (sides, rng.random((batch, 2))))
        return resampling.cropped(points, side, place, upload(rng.random(batch) < recipe.crop, device))

    def mirror(self, batch: Tensor) -> Tensor:
        """A batch in a mirror, left and right exchanged."""
        raise NotImplementedError
