"""A GPU's work recorded once and played again: CUDA graphs of a part of a network, forward and, in training, backward.

A small batch is a thousand kernels of a few microseconds each, and a host needs as long to launch every one of them. Played
from a recording they cost it one launch. In a long run the part is compiled first, so that there are fewer kernels, too.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mma82cli.devices import ALONE
from mma82cli.training.device import autocast

AFTER = 10  # passes of a shape before it is recorded
MOST = 48  # recordings: each keeps its inputs, outputs and gradients; what lies between is memory that all share
COMPILED_FROM = 20_000  # passes of a run: what makes a minute's compilation worth its while


class Replays:
    """replays(network, work, *tensors) is work(*tensors) in the run's precision. `work` is a method of `network`, or what is
    made of one, always the same. It takes and gives tensors (a tuple, where there are several), always with the same ones
    needing a gradient.

    Where a shape comes often a recording is played, unless the run is to be deterministic. What it gives, gradients too, lies
    in memory that the next call writes over.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype, passes: int = 0):
        """`passes`: about how many calls there will be."""
        self.device, self.dtype = device, dtype
        self.records = device.type == "cuda" and not torch.are_deterministic_algorithms_enabled()
        self.compiles = passes >= COMPILED_FROM
        self.seen: Counter[tuple] = Counter()
        self.recordings: dict[tuple, Callable | None] = {}
        self.memory: Any = None  # CUDA's name for what the recordings share

    def __call__(self, network: nn.Module, work: Callable, *tensors: Tensor):
        if self.records:
            key = tuple(tensor.shape for tensor in tensors)
            self.seen[key] += 1
            if self.seen[key] == AFTER and len(self.recordings) < MOST:
                self.recordings[key] = self._recorded(network, work, tensors)
            recording = self.recordings.get(key)
            if recording is not None:
                return recording(*tensors)
        with autocast(self.device, self.dtype):
            return work(*tensors)

    def _recorded(self, network: nn.Module, work: Callable, tensors: tuple[Tensor, ...]) -> Callable | None:
        """The part as a recording, or None where it can't be recorded; running statistics stay as they are."""
        kept = [buffer.clone() for buffer in network.buffers()]
        samples = tuple(tensor.detach().clone().requires_grad_(tensor.requires_grad) for tensor in tensors)
        # it warns that a later backward pass waits for a stream that it need not wait for
        warnings.filterwarnings("ignore", message="The AccumulateGrad node's stream")
        warnings.filterwarnings("ignore", message="The CUDA Graph is empty")  # of the backward pass, where there is none
        parts = getattr(network, "compiled_parts", tuple)() if self.compiles else ()
        try:
            self.memory = self.memory or torch.cuda.graph_pool_handle()
            with ALONE, _compiled(parts, varies=len(self.seen) > 1):
                part = _Part(network, work, self.dtype)
                return torch.cuda.make_graphed_callables(part, samples, allow_unused_input=True, pool=self.memory)
        except RuntimeError:  # no compiler, no memory, or a kernel that can't be recorded: slower, but all the same
            self.records = False
            return None
        finally:
            with torch.no_grad():
                for buffer, value in zip(network.buffers(), kept, strict=True):
                    if not torch.equal(buffer, value):  # a buffer that is written to makes stale what was computed from it
                        buffer.copy_(value)


@contextmanager
def _compiled(parts: Iterable[nn.Module], varies: bool):
    """The modules compiled: for the one shape that is recorded, or where batches are of several for all of them at once."""
    for part in parts:
        part.forward = torch.compile(part.forward, dynamic=varies)
    try:
        yield
    finally:
        for part in parts:
            del part.forward  # the class's is behind it


class _Part(nn.Module):
    """A method of a network as a module with the network's parameters."""

    def __init__(self, network: nn.Module, work: Callable, dtype: torch.dtype):
        super().__init__()
        self.network, self.work, self.dtype = network, work, dtype
        self.train(network.training)

    def forward(self, *tensors: Tensor):
        """What `work` makes of the tensors."""
        # weights are converted within the recording: what was converted outside it would be of an older step
        with torch.autocast("cuda", self.dtype, enabled=self.dtype != torch.float32, cache_enabled=False):
            return self.work(*tensors)
