"""Batch norm over parts of a batch, and steps whose micro-batches go through the network at once."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mma82cli.models.gc_tsm import GCTSM
from mma82cli.models.norms import BatchNorm1d, BatchNorm2d, Ghosts
from mma82cli.models.posec3d import PoseC3D
from mma82cli.skeleton.layouts import load_layout
from mma82cli.taxonomy import Taxonomy
from mma82cli.training.device import joins
from mma82cli.training.draws import Draws
from mma82cli.training.loop import Begun, Run, make_optimizer, train_epoch
from mma82cli.training.recipe import changed, load_recipe
from mma82cli.training.skeleton.clips import Clip, Clips, ClipStore
from mma82cli.training.skeleton.task import SkeletonTask

CPU = torch.device("cpu")


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


def test_a_new_epoch_knows_nothing_of_the_last():
    norm = BatchNorm2d(5)
    Ghosts(norm)(3)
    ghosts = Ghosts(norm)
    assert norm.ghosts == 1
    ghosts(3), ghosts(1)
    assert norm.ghosts == 1


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


@pytest.mark.parametrize("make,shape", [
    (lambda: PoseC3D(in_channels=3, base_channels=4, stage_blocks=(1, 1), temporal_strides=(1, 2)), (6, 3, 4, 16, 16)),
    (lambda: GCTSM(base_channels=8, stage_blocks=(1, 1)), (6, 4, 3, 32, 32)),
])  # fmt: skip
def test_networks_never_mix_parts(make, shape):
    """As they are, and as a compiler traces them."""
    torch.manual_seed(0)
    apart, x = make().double().train(), torch.rand(shape, dtype=torch.float64)
    for module in apart.modules():
        if isinstance(module, (BatchNorm1d, BatchNorm2d)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    joined, traced = copy.deepcopy(apart), copy.deepcopy(apart)
    for part in traced.compiled_parts():
        part.forward = torch.compile(part.forward, backend="aot_eager")
    found = []
    for network, parts in ((apart, 3), (joined, 1), (traced, 1)):
        if parts == 1:
            Ghosts(network)(3)
        work = network.pooled if isinstance(network, PoseC3D) else network.features
        y = torch.cat([work(part) for part in x.chunk(parts)])
        (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum().backward()
        found.append([y.detach(), *(parameter.grad for parameter in network.parameters() if parameter.grad is not None)])
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            torch.testing.assert_close(one, same, rtol=1e-9, atol=1e-11)


def small_task(most: int) -> SkeletonTask:
    """22 clips of one or two persons; `most` micro-batches of 4 go at once."""
    rng, made = np.random.default_rng(0), []
    for i in range(22):
        joints = rng.uniform(50, 250, (1 + i // 11, 5 + i, 17, 3)).astype(np.float32)
        joints[..., 2] = 1
        made.append(Clip(joints, (240, 320), i % 3))
    recipe = changed(
        load_recipe("posec3d-tiny"), frames=8, size=8, train_size=8, base_channels=4, stage_blocks=(1, 1),
        temporal_strides=(1, 1), batch_size=12, micro_batch=4, lr_batch=12, lr=0.01, optimizer="sgd", warmup=0.0, epochs=2,
    )  # fmt: skip
    labels = Taxonomy("three", ["a", "b", "c"], [0, 0, 1], ["x", "y"])
    task = SkeletonTask(recipe.inputs(load_layout("coco17")), labels, Clips(ClipStore(made).arrays()), None, CPU)
    task.joins = most
    return task


def test_an_epoch_does_not_depend_on_what_is_joined():
    """With random crops, mirrors, jitter and dropout: 12 clips are 3 micro-batches, the last 10 of unlike size."""
    found = []
    for most in (1, 2, 8):
        task = small_task(most)
        model = task.inputs.network(3)
        figures = train_epoch(model, make_optimizer(task.parameter_groups(model), task.recipe), Run(Path(), {}), task, 1, Begun())
        found.append((figures, model.state_dict()))
    (want, weights), *others = found
    for figures, state in others:
        assert figures["train_top1"] == want["train_top1"] and abs(figures["loss"] - want["loss"]) < 1e-5
        for name, value in weights.items():
            torch.testing.assert_close(state[name], value, rtol=1e-3, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_a_gpu_takes_what_half_of_its_memory_holds(monkeypatch):
    recipe, first = load_recipe("posec3d"), 32 * 32 * 56**2
    assert joins(recipe, first, CPU, torch.float32) == 1
    for memory, most in ((141e9, 14), (24e9, 2), (8e9, 1)):
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device, m=memory: type("P", (), {"total_memory": int(m)}))
        assert joins(recipe, first, torch.device("cuda", 0), torch.bfloat16) == most
