"""Batch norm over parts of a batch, and steps whose micro-batches go through the network at once."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from mma82cli.models.norms import BatchNorm1d, BatchNorm2d, Ghosts
from mma82cli.training.draws import Draws


def pair(norm, shape):
    """(a norm, torch's own for each of three parts, a batch of the shape)."""
    torch.manual_seed(0)
    norm = copy.deepcopy(norm)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.normal_(norm.bias)
    return norm, copy.deepcopy(norm), torch.randn(shape, dtype=torch.float64) * 3 + 1


@pytest.mark.parametrize("compiling", [False, True])
@pytest.mark.parametrize("norm,shape", [(BatchNorm1d(5), (12, 5)), (BatchNorm1d(5), (6, 5, 7)), (BatchNorm2d(5), (6, 5, 4, 3))])
def test_each_part_has_statistics_of_its_own(norm, shape, compiling, monkeypatch):
    ghost, plain, x = pair(norm.double(), shape)
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)  # so that the two can be told from one another's rounding
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    Ghosts(ghost)(3)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    found = ghost(mine)
    want = torch.cat([copy.deepcopy(plain)(part) for part in theirs.chunk(3)])
    torch.testing.assert_close(found, want, rtol=1e-12, atol=1e-12)
    weight = torch.randn_like(x)
    (one,), (other,) = (torch.autograd.grad((y * weight).sum(), at) for y, at in ((found, mine), (want, theirs)))
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    plain(x.chunk(3)[0])  # the running statistics are those of the first part
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(ghost.state_dict()[name], value, rtol=1e-12, atol=1e-12)


def test_evaluation_knows_no_parts():
    ghost, _, x = pair(BatchNorm2d(5).double(), (6, 5, 4, 3))
    want = ghost.eval()(x)
    Ghosts(ghost)(3)
    assert torch.equal(ghost(x), want)


def test_joint_draws_are_each_generators_own():
    def generators():
        return [np.random.default_rng(seed) for seed in range(3)]

    for draw in (
        lambda rng, rows: rng.random(rows), lambda rng, rows: rng.random((rows, 2), dtype=np.float32),
        lambda rng, rows: rng.uniform(2, 5, (rows, 3)), lambda rng, rows: rng.uniform(size=(rows, 2)),
        lambda rng, rows: rng.standard_normal((rows, 1, 4), dtype=np.float32),
    ):  # fmt: skip
        want = np.concatenate([draw(rng, 4) for rng in generators()])
        np.testing.assert_array_equal(draw(Draws(generators()), 12), want)
