"""Batch norms, which for inference are part of the layer before them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def fold_norm(parent: nn.Module, layer: str, norm: str) -> None:
    """Folds the batch norm `norm` of `parent` into its convolution or linear layer `layer`, by the running mean and variance."""
    before, after = getattr(parent, layer), getattr(parent, norm)
    scale = after.weight / torch.sqrt(after.running_var + after.eps)
    before.weight.mul_(scale.view(-1, *[1] * (before.weight.ndim - 1)))
    before.bias = nn.Parameter(after.bias - after.running_mean * scale, requires_grad=False)
    parent.add_module(norm, nn.Identity())


def move_bias(one, other) -> None:
    """Of two convolutions whose results are added the `other` gets the bias of both."""
    other.bias = nn.Parameter(other.bias + one.bias, requires_grad=False)
    one.bias = None


def fuses(x: Tensor, norm: nn.Module) -> bool:
    """Whether `fused_relu` is there for `x`, and the batch norm before the ReLU was folded."""
    on_nvidia = x.is_cuda and torch.version.cuda is not None and torch.backends.cudnn.enabled
    return on_nvidia and isinstance(norm, nn.Identity)


def fused_relu(x: Tensor, weight: Tensor, bias: Tensor, stride=1, padding=0, added: Tensor | None = None) -> Tensor:
    """relu(conv2d(x) + added), without gradients, in one pass over memory where plain layers take four."""
    stride, padding = (pair if isinstance(pair, tuple) else (pair, pair) for pair in (stride, padding))
    if added is None:
        return torch.cudnn_convolution_relu(x, weight, bias, stride, padding, (1, 1), 1)
    return torch.cudnn_convolution_add_relu(x, weight, added, 1.0, bias, stride, padding, (1, 1), 1)
