"""Few-shot adaptation of a frozen network (Table IV): the last layer fitted anew to each run's support, all runs at once.

features (N, F) are of all clips of a domain; support (R, N) says which of them each of R runs may learn from. The heads of
all runs are one tensor, so that a step for twenty runs is a few matrix products.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

RUNS_AT_ONCE = 32


def fit_heads(
    features: Tensor, labels: Tensor, support: Tensor, weight: Tensor, bias: Tensor, pull: float = 0.1, steps: int = 200
) -> Tensor:
    """Logits (R, N, C) of the linear layers that minimise, each on its run's support, the sum of cross-entropies plus
    `pull`/2 times the squared distance to the layer (`weight` (C, F), `bias` (C,)) that one begins with.

    Features are scaled to a root mean square of 1 a clip, so that `pull` means the same for every network. The function is
    strictly convex; Nesterov's gradient descent with the step that its curvature allows comes to its only minimum.
    A run without support keeps the layer as it is.
    """
    scale = features.square().sum(1).mean().sqrt().clamp(min=1e-12)
    x = torch.cat((features / scale, features.new_ones(len(features), 1)), 1)  # (N, F+1)
    start = torch.cat((weight * scale, bias[:, None]), 1)  # (C, F+1)
    done = [_fit(x, labels, part, start, pull, steps) for part in support.split(RUNS_AT_ONCE)]
    return torch.einsum("nf,rcf->rnc", x, torch.cat(done))


def _fit(x: Tensor, labels: Tensor, support: Tensor, start: Tensor, pull: float, steps: int) -> Tensor:
    """The layers (R, C, F+1) of a few runs."""
    most = int(support.sum(1).max())
    order = support.int().argsort(dim=1, descending=True, stable=True)[:, :most]  # (R, S): each run's support, then others
    shots = x[order]  # (R, S, F+1)
    weights = support.gather(1, order).to(x.dtype)
    count = weights.sum(1, keepdim=True).clamp(min=1)
    weights, pulls = weights / count, (pull / count)[..., None]  # (R, S): others weigh nothing; (R, 1, 1)
    truth = F.one_hot(labels[order], len(start)).to(x.dtype)  # (R, S, C)
    curvature = (weights * shots.square().sum(2)).sum(1)[:, None, None] / 2 + pulls  # at most: of the losses, and of the pull
    root = (pulls / curvature).sqrt()
    momentum = (1 - root) / (1 + root)
    layers = ahead = start.expand(len(support), -1, -1)
    for _ in range(steps):
        error = (torch.bmm(shots, ahead.mT).softmax(2) - truth) * weights[..., None]
        gradient = torch.bmm(error.mT, shots) + pulls * (ahead - start)
        new = ahead - gradient / curvature
        ahead = new + momentum * (new - layers)
        layers = new
    return layers


def prototypes(features: Tensor, labels: Tensor, support: Tensor, classes: int, temperature: float = 0.1) -> Tensor:
    """Logits (R, N, C): the cosine with the mean direction of a class's support, over `temperature`. A class without support
    has none, and so -inf (a run without any support: all are 0)."""
    direction = F.normalize(features, dim=1)
    truth = F.one_hot(labels, classes).to(features.dtype)  # (N, C)
    sums = torch.einsum("rn,nc,nf->rcf", support.to(features.dtype), truth, direction)
    counts = torch.einsum("rn,nc->rc", support.to(features.dtype), truth)
    logits = torch.einsum("nf,rcf->rnc", direction, F.normalize(sums, dim=2)) / temperature
    seen = (counts > 0) | (counts.sum(1, keepdim=True) == 0)
    return logits.masked_fill(~seen[:, None], -math.inf)
