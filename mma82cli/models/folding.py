"""Batch norms, which for inference are part of the layer before them."""

from __future__ import annotations

import torch
from torch import nn


def fold_norm(parent: nn.Module, layer: str, norm: str) -> None:
    """Folds the batch norm `norm` of `parent` into its convolution or linear layer `layer`, by the running mean and variance."""
    before, after = getattr(parent, layer), getattr(parent, norm)
    scale = after.weight / torch.sqrt(after.running_var + after.eps)
    before.weight.mul_(scale.view(-1, *[1] * (before.weight.ndim - 1)))
    before.bias = nn.Parameter(after.bias - after.running_mean * scale, requires_grad=False)
    parent.add_module(norm, nn.Identity())
