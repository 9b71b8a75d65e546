"""The processes that torchrun starts: each does its share of every step, the first alone writes and speaks.

Every process reads the same files and knows the same order, so that all they have to exchange is gradients (training)
or scores (inference). Each clip is done by exactly one of them.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor

from mma82cli.records import DataError

WAIT = timedelta(hours=12)  # for each other: one may have the long films; one that has died is torchrun's to notice


@dataclass(frozen=True)
class Ranks:
    """This process is `rank` of `world`; alone unless torchrun started it."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def mine(self, parts: list) -> list[tuple]:
        """(i, part) of the parts that are this process's."""
        return list(enumerate(parts))[self.rank :: self.world]

    def add(self, tensors: list[Tensor]) -> None:
        """Each tensor becomes its sum over all processes."""
        if self.world > 1:
            flat = torch.cat([t.detach().reshape(-1) for t in tensors])
            with _everyone_there():
                torch.distributed.all_reduce(flat)
            for tensor, total in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
                tensor.copy_(total.view_as(tensor))

    def total(self, sums: dict[str, Tensor]) -> dict[str, float]:
        """{name: the sum over all processes} of scalar tensors, which stay as they are. What a process does not have (no
        part of a step was its own) counts as 0."""
        mine = {name: value.item() for name, value in sums.items()}
        if self.world == 1:
            return mine
        everyone: list = [None] * self.world
        with _everyone_there():
            torch.distributed.all_gather_object(everyone, mine)
        return {name: sum(each.get(name, 0.0) for each in everyone) for name in sorted(set().union(*everyone))}

    def gather(self, value) -> list:
        """The values of all processes in the first one; in the others only their own."""
        if self.world == 1:
            return [value]
        values = [None] * self.world if self.first else None
        with _everyone_there():
            torch.distributed.gather_object(value, values)
        return values or [value]

    def shared(self, items: Sequence, work: Callable[[Any], Iterable]) -> list:
        """work(this process's share of the items) -> an answer each. The first process gets the answers to all of them, in
        order; the others get none."""
        mine = items[self.rank :: self.world]
        parts = [iter(part) for part in self.gather(list(work(mine)) if len(mine) else [])]
        return [next(parts[i % self.world]) for i in range(len(items))] if self.first else []


@contextmanager
def _everyone_there() -> Iterator[None]:
    """Where processes wait for one another. Raises DataError where one is gone."""
    try:
        yield
    except RuntimeError as error:
        raise DataError("another of the processes has ended, and said why if it could (--debug shows more)") from error


def join(rank: int, world: int, device: torch.device) -> Ranks:
    """Meets the other processes at the address that torchrun has put into the environment."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, timeout=WAIT)
    atexit.register(torch.distributed.destroy_process_group)  # its threads must end before the interpreter does
    return Ranks(rank, world)
