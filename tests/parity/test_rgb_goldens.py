"""GC-TSM against its authors' code (../shared/goldens/rgb, and the figures in ../shared/research/rgb.md)."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mma82cli.models import gc_tsm
from mma82cli.models.gc_tsm import GCTSM, Bottleneck, Dims, fold, renamed
from mma82cli.training.rgb.recipe import GcTsmRecipe
from mma82cli.training.rgb.task import RgbTask

EXACT = 1e-9
GATES = {
    "local_L33D": gc_tsm.LocalGate, "temporal_T13D": gc_tsm.TemporalGate,
    "spatial_S23DD": gc_tsm.SpatialGate, "global_CLLD": gc_tsm.GlobalGate,
}  # fmt: skip


@pytest.fixture(scope="module")
def golden(shared):
    return lambda name: np.load(shared / "goldens" / "rgb" / name)


def state_of(golden, prefix: str) -> dict:
    return {key.removeprefix(prefix): torch.from_numpy(golden[key]) for key in golden.files if key.startswith(prefix)}


def differs(tensor, expected) -> float:
    return float(np.abs(tensor.detach().numpy() - expected).max())


def recipe_state(shared) -> dict:
    """The whole network's tensors as the goldens' README makes them from their names."""
    state = {}
    for key, shape in json.loads((shared / "goldens/rgb/gc_tsm_r50_keys.json").read_text()).items():
        rng, leaf = np.random.RandomState(zlib.crc32(key.encode()) & 0xFFFFFFFF), key.rpartition(".")[2]
        if leaf == "num_batches_tracked":
            value = np.zeros(shape)
        elif len(shape) >= 2:
            value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        elif leaf == "weight":
            value = rng.uniform(0.5, 1.0, shape)
        else:
            value = rng.uniform(0.5, 1.5, shape) if leaf == "running_var" else rng.standard_normal(shape) * 0.1
        state["module." + key] = torch.from_numpy(np.asarray(value))
    return state


@pytest.mark.parametrize("name", GATES)
def test_gates_forward_backward_and_statistics(golden, name):
    data = golden("calibrators_fp64.npz")
    gate = GATES[name](6).double()
    gate.load_state_dict(state_of(data, f"{name}/sd/"))

    def gated(x):  # (N*T, C, H, W) with T = 4
        part = x.permute(0, 2, 3, 1).unflatten(0, (2, 4))
        return (part * torch.sigmoid(gate(part))).flatten(0, 1).permute(0, 3, 1, 2)

    x = torch.from_numpy(data["x"])
    gate.eval()
    assert differs(gated(x), data[f"{name}/eval"]) < EXACT
    gate.train()
    x.requires_grad_()
    y = gated(x)
    assert differs(y, data[f"{name}/train"]) < EXACT
    y.backward(torch.from_numpy(data["train_dy"]))
    assert differs(x.grad, data[f"{name}/train_dx"]) < EXACT
    for key, parameter in gate.named_parameters():
        expected = data[f"{name}/train_grad/{key}"]
        if parameter.grad is None:
            assert np.isnan(expected).all()
        else:
            assert differs(parameter.grad, expected) < EXACT
    for key, value in gate.state_dict().items():
        if f"{name}/after_train/{key}" in data.files:
            assert differs(value, data[f"{name}/after_train/{key}"]) < EXACT


@pytest.mark.parametrize("name", ["block_plain_fp64.npz", "block_ds_s2_fp64.npz"])
def test_blocks_forward_backward_and_statistics(golden, name):
    data = golden(name)
    meta = json.loads(str(data["meta"]))
    block = Bottleneck(meta["inplanes"], meta["planes"], meta["stride"], Dims()).double()
    block.load_state_dict(state_of(data, "sd/"))
    x = torch.from_numpy(data["x"]).contiguous(memory_format=torch.channels_last)
    assert differs(gc_tsm.shift(x, 8, 8), data["shifted"]) == 0
    with torch.inference_mode():
        assert differs(block.eval()(x, 8), data["y_eval"]) < EXACT
    y = block.train()(x.requires_grad_(), 8)
    assert differs(y, data["y_train"]) < EXACT
    y.backward(torch.from_numpy(data["dy"]))
    assert differs(x.grad, data["dx_train"]) < EXACT
    gradients = {key: p.grad for key, p in block.named_parameters() if p.grad is not None}
    assert set(gradients) == {key.removeprefix("grad/") for key in data.files if key.startswith("grad/")}
    assert max(differs(value, data[f"grad/{key}"]) for key, value in gradients.items()) < EXACT
    state = block.state_dict()
    running = {key.removeprefix("after_train/") for key in data.files if key.startswith("after_train/")}
    assert max(differs(state[key], data[f"after_train/{key}"]) for key in running) < EXACT


def test_whole_network_trains_as_the_authors_does(shared):
    """Loss of two steps (rgb.md, section 3), and folding afterwards, in float64."""
    state = renamed(recipe_state(shared))
    model = GCTSM(dropout=0.0).double()
    assert sum(p.numel() for p in model.parameters()) == 24_941_074 and len(model.state_dict()) == 704
    model.load_state_dict(state)
    x = torch.from_numpy(np.random.RandomState(77).standard_normal((4, 24, 64, 64))).view(4, 8, 3, 64, 64)
    loss = F.cross_entropy(model.train()(x), torch.tensor([3, 57, 0, 81]))
    assert abs(loss.item() - 4.709411710964929) < EXACT
    with torch.inference_mode():
        expected, folded = model.eval()(x[:2]), fold(model)(x[:2])
        assert (folded - expected).abs().max() < EXACT * expected.abs().max()
        single = fold(model.float())(x[:2].float())
        assert (single - expected).abs().max() < 2e-6 * expected.abs().max()


@pytest.mark.parametrize(("variant", "keys"), [("npb_eflr5", {}), ("npb", {"gate_lr": 1.0})])
def test_parameters_learn_in_the_authors_groups(shared, variant, keys):
    theirs = {}
    for group in json.loads((shared / "goldens/rgb/optim_groups.json").read_text())[variant]:
        theirs |= {renamed_key(key): (group["lr_mult"], 1e-4 * group["decay_mult"]) for key in group["params"]}
    task, model = RgbTask(GcTsmRecipe(**keys), None, [], [], torch.device("cpu")), GCTSM()
    names = {parameter: name for name, parameter in model.named_parameters()}
    ours = {}
    for group in task.parameter_groups(model):
        ours |= {names[parameter]: (group["lr_scale"], group["weight_decay"]) for parameter in group["params"]}
    unused = {key for key in theirs if "eft3.bn1" in key}  # theirs are in a group and never get a gradient
    assert len(unused) == 32 and ours == {key: value for key, value in theirs.items() if key not in unused}


def renamed_key(key: str) -> str:
    return next(iter(renamed({key: torch.empty(0)})))


def test_the_learning_rate_falls_when_the_authors_lets_it(shared):
    recipe = GcTsmRecipe()
    steps = 50 * 7
    rates = [recipe.learning_rate(step, steps) for step in range(0, steps, 7)]
    assert rates == pytest.approx([0.01] * 20 + [0.001] * 20 + [0.0001] * 10)
