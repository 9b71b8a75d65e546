"""Batch norm as several small batches would have it that go through a network as one (Hoffer et al. 2017, "ghost batch norm")."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _GhostNorm(_BatchNorm):
    """In training a batch (B, C, …) is `ghosts` equal parts, each normalised by statistics of its own; the running statistics
    are the first part's. Else, and with one part, torch's batch norm."""

    ghosts = 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, …) -> the same, B a multiple of `ghosts`."""
        if self.ghosts == 1 or not self.training:
            return super().forward(x)
        if torch.compiler.is_compiling():  # which fuses this; by itself it would pass over memory ten times
            return self._at_once(x)
        first, *others = x.chunk(self.ghosts)
        rest = (F.batch_norm(part, None, None, self.weight, self.bias, True, 0.0, self.eps) for part in others)
        return torch.cat((super().forward(first), *rest))

    def _at_once(self, x: Tensor) -> Tensor:
        parts = x.to(self.weight.dtype).unflatten(0, (self.ghosts, -1))  # (ghosts, B/ghosts, C, …)
        axes = (1, *range(3, parts.ndim))
        var, mean = torch.var_mean(parts, axes, correction=0, keepdim=True)
        self._count(mean[0].detach().flatten(), var[0].detach().flatten(), parts[0].numel() // x.shape[1])
        scale, shift = (values.view(-1, *[1] * (x.ndim - 2)) for values in (self.weight, self.bias))
        y = (parts - mean) * torch.rsqrt(var + self.eps) * scale + shift
        return y.to(x.dtype).flatten(0, 1)

    def _count(self, mean: Tensor, var: Tensor, numbers: int) -> None:
        """Moves the running statistics towards those of `numbers` numbers a channel."""
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * (numbers / max(1, numbers - 1)), self.momentum)
            self.num_batches_tracked.add_(1)


class BatchNorm1d(_GhostNorm, nn.BatchNorm1d):
    """Of (B, C) or (B, C, T)."""


class BatchNorm2d(_GhostNorm, nn.BatchNorm2d):
    """Of (B, C, H, W)."""


class Ghosts:
    """ghosts(n): what the network is given next is n micro-batches as one batch."""

    def __init__(self, network: nn.Module):
        # a list, for walking through a network takes as long as some of its layers
        self.norms = [module for module in network.modules() if isinstance(module, _GhostNorm)]
        self.count = 0
        self(1)

    def __call__(self, count: int) -> None:
        if count != self.count:
            self.count = count
            for norm in self.norms:
                norm.ghosts = count
