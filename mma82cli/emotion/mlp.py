"""The network of Algorithm 1: one hidden layer, ReLU, dropout, Adam, the epoch that is best on validation. Many at once.

M networks are one tensor, so that an epoch of all of them is a few batched products of matrices.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mma82cli.metrics.recognition import Margins, metrics


class Recipe(NamedTuple):
    """What Algorithm 1 leaves open: `hidden` units, share of them that is dropped, Adam's rate and decay, epochs (each is one
    step on all clips of the part)."""

    hidden: int = 64
    dropout: float = 0.5
    lr: float = 0.01
    decay: float = 0.0
    epochs: int = 60


class Part(NamedTuple):
    """Clips of M fits, padded to N rows.

    x       (M, N, D) float
    y       (M, N) long, class ids
    weight  (M, N) float: 1, or 0 for a row that only fills up
    """

    x: Tensor
    y: Tensor
    weight: Tensor


def padded(x: list[np.ndarray], y: list[np.ndarray]) -> Part:
    """A Part of M arrays x[m] (n_m, D) and y[m] (n_m,)."""
    size = max(1, max(map(len, x)))
    inputs, truth, weight = torch.zeros(len(x), size, x[0].shape[1]), torch.zeros(len(x), size).long(), torch.zeros(len(x), size)
    for m, (mine, ids) in enumerate(zip(x, y, strict=True)):
        inputs[m, : len(mine)], truth[m, : len(mine)] = torch.from_numpy(mine), torch.from_numpy(ids)
        weight[m, : len(mine)] = 1
    return Part(inputs, truth, weight)


class Networks(NamedTuple):
    """The weights of M networks: into (M, D, H), bias (M, 1, H), out (M, H, K), last (M, 1, K)."""

    into: Tensor
    bias: Tensor
    out: Tensor
    last: Tensor

    def __call__(self, x: Tensor, kept: Tensor | None = None) -> Tensor:
        """Logits (M, N, K) of x (M, N, D); `kept` (M, N, H) multiplies the hidden units."""
        hidden = torch.baddbmm(self.bias, x, self.into).relu()  # (M, N, H)
        return torch.baddbmm(self.last, hidden if kept is None else hidden * kept, self.out)

    def probabilities(self, x: Tensor) -> np.ndarray:
        """(M, N, K) of x (M, N, D)."""
        with torch.no_grad():
            return self(x).softmax(2).numpy()


def fit(train: Part, val: Part, classes: int, recipe: Recipe, seed: int, alike: int = 1) -> Networks:
    """M networks, each as it was after the epoch with the best macro-F1 on its own validation part (the first of equals).

    Each `alike` neighbours begin with the same weights and drop the same units, so that what sets them apart is their input.
    """
    random = torch.Generator().manual_seed(seed)
    now = _start(train.x.shape[0] // alike, train.x.shape[2], classes, recipe.hidden, random, alike)
    best, record = Networks(*(w.detach().clone() for w in now)), torch.full((len(train.x),), -1.0)
    adam = torch.optim.Adam(now, lr=recipe.lr, weight_decay=recipe.decay)
    share = train.weight / train.weight.sum(1, keepdim=True).clamp(min=1)  # of a clip in the loss of its fit
    for _ in range(recipe.epochs):
        logits = now(train.x, _kept(train, recipe, random, alike))
        loss = (F.cross_entropy(logits.mT, train.y, reduction="none") * share).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            reached = macro_f1(now(val.x), val)
            better = reached > record
            record = torch.where(better, reached, record)
            for old, new in zip(best, now, strict=True):
                old[better] = new[better]
    return best


def _start(fits: int, inputs: int, classes: int, hidden: int, random: torch.Generator, alike: int) -> Networks:
    """Uniform in +-1/sqrt(number of inputs)."""

    def uniform(*shape: int, fan: int) -> Tensor:
        drawn = torch.rand(fits, *shape, generator=random) * 2 - 1
        return (drawn / fan**0.5).repeat_interleave(alike, 0).requires_grad_()

    layer = uniform(inputs, hidden, fan=inputs), uniform(1, hidden, fan=inputs)
    return Networks(*layer, uniform(hidden, classes, fan=hidden), uniform(1, classes, fan=hidden))


def _kept(train: Part, recipe: Recipe, random: torch.Generator, alike: int) -> Tensor:
    """(M, N, H) 0 for a unit that is dropped, else what makes up for those."""
    fits, clips = train.y.shape
    drawn = torch.rand(fits // alike, clips, recipe.hidden, generator=random)
    return ((drawn >= recipe.dropout) / (1 - recipe.dropout)).repeat_interleave(alike, 0)


def macro_f1(logits: Tensor, part: Part) -> Tensor:
    """(M,) macro-F1 over the classes seen in truth or prediction of each fit's part."""
    classes = logits.shape[2]
    truth = F.one_hot(part.y, classes) * part.weight[..., None]
    guess = F.one_hot(logits.argmax(2), classes) * part.weight[..., None]
    truths, guesses, hits = (x.sum(1).numpy() for x in (truth, guess, truth * guess))  # (M, K) each
    return torch.from_numpy(metrics(Margins(truths, guesses, hits, hits))["macro-f1"]).float()
