"""A step's micro-batches on several CPU cores at once: a thread and a copy of the network each.

Threads inside a layer wait for one another at every layer's end, which costs more than it gains where layers are small
or cores are busy. Copies meet once a step. The numbers don't depend on how many there are: gradients are added in the
order of the micro-batches, and batch norm's running statistics are those of the first one (of rank 0, where the peers
train on several devices).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class Team:
    """`workers` copies of `model`, the first of which is `model` itself; they share its parameters' memory. `scratch()`
    makes the memory that each keeps."""

    def __init__(self, model: nn.Module, workers: int = 1, scratch: Callable[[], Any] = lambda: None):
        self.members = [(model, scratch())]
        for _ in range(workers - 1):
            twin = copy.deepcopy(model)
            for own, parameter in zip(twin.parameters(), model.parameters(), strict=True):
                own.data = parameter.data
            self.members.append((twin, scratch()))
        # lists, for walking through a network takes as long as some of its layers
        self.trained = [[p for p in network.parameters() if p.requires_grad] for network, _ in self.members]
        norms = (module for module in model.modules() if isinstance(module, _BatchNorm))
        self.statistics = [values for norm in norms for values in norm.buffers()]
        self.first = [values.clone() for values in self.statistics]  # as the first micro-batch leaves them
        place = next(model.parameters()).device
        # a recording's gradients (`replays.py`) are written over by its next pass
        self.copies = place.type == "cuda"
        self.threads = torch.get_num_threads()
        share = max(1, self.threads // workers)
        torch.set_num_threads(share)  # OpenMP asks each thread for itself: here, and in those of the pool
        self.pool = ThreadPoolExecutor(workers, initializer=_begin, initargs=(share, place))

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *_):
        self.pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self.threads)

    def gradients(self, parts: list, work: Callable) -> list:
        """Calls `work(network, scratch, part)` for each part; it calls backward. -> its results.

        The sum of the gradients is left in those of `model`'s parameters that are trained, which had none.
        """
        results: list = []
        total: list[torch.Tensor] | tuple[torch.Tensor, ...] | None = None
        for start in range(0, len(parts), len(self.members)):
            group = parts[start : start + len(self.members)]
            members = self.members[: len(group)]
            jobs = [self.pool.submit(work, *member, part) for member, part in zip(members, group, strict=True)]
            results += [job.result() for job in jobs]
            if start == 0 and self.statistics:
                torch._foreach_copy_(self.first, self.statistics)
            for trained in self.trained[: len(group)]:
                each = [_gradient(parameter) for parameter in trained]
                for parameter in trained:
                    parameter.grad = None
                if total is None:
                    total = torch._foreach_mul(each, 1) if self.copies and len(parts) > 1 else each
                else:
                    total = torch._foreach_add(total, each)
        if total is None:  # more processes than parts
            total = [torch.zeros_like(parameter) for parameter in self.trained[0]]
        for parameter, gradient in zip(self.trained[0], total, strict=True):
            parameter.grad = gradient
        if parts and self.statistics:
            torch._foreach_copy_(self.statistics, self.first)
        return results


def _begin(threads: int, device: torch.device) -> None:
    """A thread begins with a number of threads, and a GPU, that is not that of the one which made it."""
    torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.cuda.set_device(device)


def _gradient(parameter: nn.Parameter) -> torch.Tensor:
    """Zero where no path led to it, so that sums and processes agree on what there is."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
