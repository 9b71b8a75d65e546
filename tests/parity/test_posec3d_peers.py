"""PoseC3D against the peers' logits, features and first two steps of training."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mma82cli.models import load
from mma82cli.models.posec3d import PoseC3D, fold

VARIANTS = {"posec3d": "pose_only_t111", "posec3d-ntu": "ntu_t112"}


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "goldens" / "skeleton"


@pytest.fixture(scope="module")
def peer(folder):
    return np.load(folder / "posec3d_io.npz")


@pytest.fixture(scope="module")
def state(folder):
    weights = np.load(folder / "posec3d_weights_f32.npz")
    return {name: torch.from_numpy(weights[name]) for name in weights.files}


@pytest.fixture(scope="module")
def heatmaps(peer):
    x = np.zeros(peer["x_shape"], np.float32)
    x.flat[peer["x_nz_idx"]] = peer["x_nz_val"]
    return torch.from_numpy(x)


@pytest.fixture(scope="module")
def checkpoint(state, tmp_path_factory):
    """A file as the peers write it, from a distributed run."""
    path = tmp_path_factory.mktemp("peer") / "epoch_24.pth"
    torch.save({"meta": {"epoch": 24}, "state_dict": {"module." + k: v for k, v in state.items()}}, path)
    return path


def test_keys_and_shapes_are_the_peers(folder):
    theirs = json.loads((folder / "posec3d_state_dict_shapes.json").read_text())
    ours = {k: [list(v.shape), str(v.dtype).removeprefix("torch.")] for k, v in PoseC3D().state_dict().items()}
    assert ours == {k: [list(shape), dtype.removeprefix("torch.")] for k, (shape, dtype) in theirs.items()}


@pytest.mark.parametrize("recipe", VARIANTS)
def test_logits_and_features(recipe, checkpoint, peer, heatmaps):
    name, model = VARIANTS[recipe], load(checkpoint, recipe=recipe)
    assert not model.training
    with torch.inference_mode():
        features = model.features(heatmaps)
        logits = model.cls_head(features).numpy()
        folded = fold(model)(heatmaps).numpy()
        half = fold(model).bfloat16()(heatmaps.bfloat16()).float().numpy()
    truth = peer[name + "_logits_f64"]
    assert np.abs(logits - truth).max() <= 5e-6
    assert np.abs(folded - truth).max() <= 5e-6
    assert np.abs(half - truth).max() <= 0.03
    assert (half.argmax(1) == truth.argmax(1)).all()
    assert np.abs(features.mean((2, 3, 4)).numpy() - peer[name + "_pooled_f64"]).max() <= 5e-6
    assert np.abs(features[:, :16].numpy() - peer[name + "_feat_c0_15"]).max() <= 2e-5
    assert np.abs(features.mean(1).numpy() - peer[name + "_feat_mean_thw_f32"]).max() <= 5e-6


def test_two_steps_of_training(state, peer, heatmaps):
    model = PoseC3D(dropout=0.0).double().train()
    model.load_state_dict(state)
    x, labels = heatmaps.double(), torch.tensor([3, 77])
    optimiser = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=3e-4)
    losses, norms = [], []
    for step in range(2):
        logits = model(x)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        optimiser.zero_grad()
        loss.backward()
        if step == 0:
            assert np.abs(logits.detach().numpy() - peer["train_logits0_f64"]).max() < 1e-9
            gradients = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 40.0).item())
        losses.append(loss.item())
        optimiser.step()
    np.testing.assert_allclose(losses, peer["train_losses_f64"], rtol=1e-9)
    np.testing.assert_allclose(norms, peer["train_gradnorms_f64"], rtol=1e-9)
    after, compared = model.state_dict(), 0
    for name in peer.files:
        kind, _, tensor = name.partition("/")
        if kind in ("train_grad0_f64", "train_after2_f64"):
            ours = gradients[tensor] if kind == "train_grad0_f64" else after[tensor].numpy()
            np.testing.assert_allclose(ours, peer[name], rtol=1e-8, atol=1e-11, err_msg=name)
            compared += 1
    assert compared == 8
