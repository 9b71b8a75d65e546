"""The losses of a detector: focal for classes at every point, DIoU for boundaries at points that have an action.

Both are sums over a batch, divided by a moving mean of how many points of a batch have an action (`moved`): with few
windows in a batch the number itself would be too unsteady.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

ALPHA, GAMMA = 0.25, 2.0  # focal loss: weight of the positives, and how fast easy examples fade
MOMENTUM = 0.9  # of the moving mean
TINY = 1e-7


def focal(logits: Tensor, targets: Tensor, counted: Tensor) -> Tensor:
    """Sum over the `counted` rows (…) of the sigmoid focal loss (Lin et al. 2017); logits and targets, in 0..1, (…, C)."""
    logits, targets = logits.float(), targets.float()
    p = logits.sigmoid()
    right = p * targets + (1 - p) * (1 - targets)
    weight = ALPHA * targets + (1 - ALPHA) * (1 - targets)
    each = weight * (1 - right) ** GAMMA * F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (each * counted[..., None]).sum()


def diou(found: Tensor, wanted: Tensor, counted: Tensor) -> Tensor:
    """Sum over the `counted` (…) of the distances (…, 2), at least 0, to start and end from the same points:
    1 - IoU + (gap of the middles / hull)^2."""
    found, wanted = (torch.where(counted[..., None], values.float(), 1.0) for values in (found, wanted))  # 1: no NaN's gradient
    shared = torch.minimum(found, wanted).sum(-1)
    union = found.sum(-1) + wanted.sum(-1) - shared
    hull = torch.maximum(found, wanted).sum(-1)
    gap = 0.5 * ((found[..., 1] - found[..., 0]) - (wanted[..., 1] - wanted[..., 0]))
    return ((1 - shared / union.clamp(min=TINY) + (gap / hull.clamp(min=TINY)) ** 2) * counted).sum()


def detection_losses(
    levels: Sequence[tuple[Tensor, ...]], masks: list[Tensor], classes: Tensor, distances: Tensor, smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """-> (class loss, boundary loss), sums over a batch.

    levels     [(logits (B, C, t), offsets (B, 2, t), …)], masks [(B, t)]: as a model and `level_masks` give them
    classes    (B, P, C) and distances (B, P, 2) of `targets.assign`, P all levels' points
    smoothing  of labels: targets become t (1 - s) + s / (C + 1)
    """
    logits = torch.cat([level[0] for level in levels], 2).mT  # (B, P, C)
    offsets = torch.cat([level[1] for level in levels], 2).mT
    wanted = classes * (1 - smoothing) + smoothing / (classes.shape[2] + 1) if smoothing else classes
    return focal(logits, wanted, torch.cat(masks, 1)), diou(offsets, distances, positives(masks, classes))


def positives(masks: list[Tensor], classes: Tensor) -> Tensor:
    """(B, P) bool: the points that exist and have an action."""
    return torch.cat(masks, 1) & (classes.sum(2) > 0)


def moved(normalizer: Tensor, count: Tensor | float) -> Tensor:
    """The moving mean after a batch in which `count` points have an action."""
    return MOMENTUM * normalizer + (1 - MOMENTUM) * torch.as_tensor(count).clamp(min=1)
