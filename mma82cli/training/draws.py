"""Random numbers of several micro-batches at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


class Draws:
    """Several generators as one that draws for a batch: its first rows are drawn by the first of them, and so on. Each has as
    many, and draws what it would draw by itself."""

    def __init__(self, rngs: Sequence[np.random.Generator]):
        self.rngs = rngs

    def random(self, size: int | tuple[int, ...], dtype=np.float64) -> np.ndarray:
        """As numpy's Generator does; so do the others."""
        return self._each(size, lambda rng, part: rng.random(part, dtype=dtype))

    def uniform(self, low: float = 0.0, high: float = 1.0, size: int | tuple[int, ...] = ()) -> np.ndarray:
        """From `low` to `high`."""
        return self._each(size, lambda rng, part: rng.uniform(low, high, part))

    def standard_normal(self, size: int | tuple[int, ...], dtype=np.float64) -> np.ndarray:
        """Mean 0, deviation 1."""
        return self._each(size, lambda rng, part: rng.standard_normal(part, dtype=dtype))

    def _each(self, size, draw: Callable) -> np.ndarray:
        rows, *more = size if isinstance(size, tuple) else (size,)
        part = rows // len(self.rngs), *more
        return np.concatenate([draw(rng, part) for rng in self.rngs])
