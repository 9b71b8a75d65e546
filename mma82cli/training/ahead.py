"""The micro-batches of an epoch, loaded by threads of their own while the network works on those before them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mma82cli.training.draws import Draws

if TYPE_CHECKING:
    from mma82cli.training.ranks import Ranks
    from mma82cli.training.task import Task


class Part:
    """What a pass of the network takes: a micro-batch, or several of one size. `rng` draws everything random about it, for
    each of them with a generator of its own."""

    def __init__(self, task: Task, batches: list[np.ndarray], seeds: list[list[int]], pool: ThreadPoolExecutor | None):
        """The rows and the seeds of each micro-batch."""
        self.task, self.batches = task, batches
        self.rngs = [np.random.default_rng(each) for each in seeds]
        self.rng: Any = self.rngs[0] if len(batches) == 1 else Draws(self.rngs)
        self._jobs = [pool.submit(task.load, *each) for each in zip(batches, self.rngs, strict=True)] if pool else None

    def __len__(self) -> int:
        return sum(map(len, self.batches))

    def loaded(self) -> Any:
        """What the task's `load` made of the rows."""
        if self._jobs:
            found = [job.result() for job in self._jobs]
        else:
            found = [self.task.load(*each) for each in zip(self.batches, self.rngs, strict=True)]
        return found[0] if len(found) == 1 else self.task.joined(found)


class Step(NamedTuple):
    """A step of the optimiser: how many rows it has in all processes, and this process's parts."""

    size: int
    parts: list[Part]


def steps(task: Task, order: np.ndarray, seeds: list[int], ranks: Ranks, first: int = 0) -> Iterator[Step]:
    """The steps of an epoch over the rows `order`, from the `first` on, some of them ahead of their time where the task has
    `loaders`."""
    recipe = task.recipe
    pool = ThreadPoolExecutor(task.loaders) if task.loaders else None
    waiting: deque[Step] = deque()
    depth = 0 if pool is None else 1 + 2 * task.loaders * recipe.micro_batch // recipe.batch_size
    try:
        for number in range(first, math.ceil(len(order) / recipe.batch_size)):
            rows = order[number * recipe.batch_size : (number + 1) * recipe.batch_size]
            mine = ranks.mine(micro_batches(rows, recipe.micro_batch))
            waiting.append(Step(len(rows), [Part(task, *part, pool) for part in _passes(mine, [*seeds, number], task.joins)]))
            if len(waiting) > depth:
                yield waiting.popleft()
        yield from waiting
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _passes(mine: list[tuple[int, np.ndarray]], seeds: list[int], most: int) -> list[tuple[list, list]]:
    """Numbered micro-batches -> (rows, seeds) of those of each pass: one, or up to `most` where all are of one size."""
    if len({len(rows) for _, rows in mine}) > 1:
        most = 1
    groups = [mine[start : start + most] for start in range(0, len(mine), most)]
    return [([rows for _, rows in group], [[*seeds, i] for i, _ in group]) for group in groups]


def micro_batches(batch: np.ndarray, size: int) -> list[np.ndarray]:
    """`batch` in parts of at most `size` that differ by one at most: batch norm must not meet a lonely row."""
    return np.array_split(batch, math.ceil(len(batch) / size))
