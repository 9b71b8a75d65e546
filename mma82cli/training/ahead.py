"""The micro-batches of an epoch, loaded by threads of their own while the network works on those before them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from mma82cli.training.ranks import Ranks
    from mma82cli.training.task import Task


class Part:
    """A micro-batch: its `rows`, and `rng`, from which everything random about it is drawn."""

    def __init__(self, task: Task, rows: np.ndarray, seeds: list[int], pool: ThreadPoolExecutor | None):
        self.task, self.rows, self.rng = task, rows, np.random.default_rng(seeds)
        self._job = pool.submit(task.load, rows, self.rng) if pool else None

    def __len__(self) -> int:
        return len(self.rows)

    def loaded(self) -> Any:
        """What the task's `load` made of the rows."""
        return self._job.result() if self._job else self.task.load(self.rows, self.rng)


class Step(NamedTuple):
    """A step of the optimiser: how many rows it has in all processes, and (i, part) of this process's parts."""

    size: int
    parts: list[tuple[int, Part]]


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
            waiting.append(Step(len(rows), [(i, Part(task, part, [*seeds, number, i], pool)) for i, part in mine]))
            if len(waiting) > depth:
                yield waiting.popleft()
        yield from waiting
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def micro_batches(batch: np.ndarray, size: int) -> list[np.ndarray]:
    """`batch` in parts of at most `size` that differ by one at most: batch norm must not meet a lonely row."""
    return np.array_split(batch, math.ceil(len(batch) / size))
