"""Batch norms, which for inference are part of the layer before them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
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


def relu(x: Tensor) -> Tensor:
    """ReLU, in place where that is faster: on a CPU bf16 is not."""
    return F.relu(x, inplace=x.dtype == torch.float32)


def folded_relu(x: Tensor, weight: Tensor, bias: Tensor, stride=1, padding=0, added: Tensor | None = None) -> Tensor:
    """relu(conv2d(x) + added), without gradients: on a GPU in one pass over memory, which is what it takes there."""
    if x.is_cuda and torch.version.cuda and torch.backends.cudnn.enabled:
        stride, padding = (pair if isinstance(pair, tuple) else (pair, pair) for pair in (stride, padding))
        if added is None:
            return torch.cudnn_convolution_relu(x, weight, bias, stride, padding, (1, 1), 1)
        return torch.cudnn_convolution_add_relu(x, weight, added, 1.0, bias, stride, padding, (1, 1), 1)
    y = F.conv2d(x, weight, bias, stride, padding)
    if added is not None:
        y += added
    return relu(y)
