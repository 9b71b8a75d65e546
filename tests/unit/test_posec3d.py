"""PoseC3D against a plain Conv3d one, and the reading of checkpoints."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import torch
from bench.plain_skeleton import PlainPoseC3D
from safetensors.torch import save_file

from mma82cli.models import load, weights
from mma82cli.models.posec3d import Dims, PoseC3D, fold
from mma82cli.records import DataError, WrongUsage

SMALL = {"in_channels": 5, "num_classes": 3, "base_channels": 4, "stage_blocks": (2, 1, 1)}


def small(strides=(1, 1, 1), **sizes) -> PoseC3D:
    """A small model in which every weight matters (no zeros, batch norm statistics of its own)."""
    torch.manual_seed(0)
    model = PoseC3D(**{**SMALL, "temporal_strides": strides, "dropout": 0.0, **sizes})
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if ".bn." in name and tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)
    return model


@pytest.mark.parametrize("strides", [(1, 1, 1), (1, 1, 2), (1, 2, 2)])
def test_two_implementations_agree_forward_and_backward(strides):
    model, x = small(strides).double(), torch.rand(2, 5, 8, 16, 24, dtype=torch.double)
    plain = PlainPoseC3D(**SMALL, temporal_strides=strides).double()
    plain.load_state_dict(model.state_dict())
    for mode in (True, False):
        model.train(mode), plain.train(mode)
        torch.testing.assert_close(model(x), plain(x))
    torch.testing.assert_close(fold(model)(x), model(x))
    for each in (model, plain):
        each.train().zero_grad()
        torch.nn.functional.cross_entropy(each(x), torch.tensor([0, 2])).backward()
    theirs = dict(plain.named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs[name].grad, msg=name)
    torch.testing.assert_close(model.state_dict(), plain.state_dict())


def test_initialisation_makes_every_block_an_identity_at_first():
    torch.manual_seed(0)
    model = PoseC3D()
    assert all(m.conv3.bn.weight.abs().max() == 0 for m in model.modules() if hasattr(m, "conv3"))
    stem = model.backbone.conv1.conv.weight
    assert stem.std().item() == pytest.approx((2 / (32 * 49)) ** 0.5, rel=0.02)
    assert model.cls_head.fc_cls.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert model.cls_head.fc_cls.bias.abs().max() == 0


def test_folding_leaves_the_model_as_it_was():
    model = small()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fold(model)
    assert model.training
    torch.testing.assert_close(model.state_dict(), before)


def test_stages_and_strides_must_be_as_many():
    with pytest.raises(ValueError, match="2 stages, but 3 temporal strides"):
        Dims(stage_blocks=(1, 1))


def save_ours(model, path, **recipe):
    about = {"recipe": recipe, "taxonomy": {"name": "t"}, "layout": "coco17", "version": "1"}
    save_file(model.state_dict(), path, metadata={weights.METADATA: json.dumps(about)})


def test_ours_come_back_from_a_folder(tmp_path):
    model = small((1, 1, 2)).eval()
    save_ours(model, tmp_path / "best.safetensors", temporal_strides=[1, 1, 2], dropout=0.25)
    again, x = load(tmp_path), torch.rand(1, 5, 8, 16, 16)
    assert again.dims == Dims(**SMALL, temporal_strides=(1, 1, 2), dropout=0.25)
    assert torch.equal(again(x), model(x))
    read = weights.read(tmp_path / "best.safetensors")
    assert read.taxonomy == {"name": "t"} and (read.about["layout"], read.about["version"]) == ("coco17", "1")


def distributed(state):
    return {"model": {"module." + name: tensor for name, tensor in state.items()}}


@pytest.mark.parametrize("wrap", [dict, lambda state: {"state_dict": state}, distributed])
def test_peers_files_are_unwrapped(wrap, tmp_path):
    model = small((1, 1, 2)).eval()
    torch.save(wrap(model.state_dict()), tmp_path / "x.pth")
    again = load(tmp_path / "x.pth", recipe="posec3d-ntu")
    assert again.dims.temporal_strides == (1, 1, 2) and again.dims.stage_blocks == (2, 1, 1)
    assert load(tmp_path / "x.pth").dims.temporal_strides == (1, 1, 1)
    assert load(tmp_path / "x.pth", temporal_strides=(2, 1, 1)).dims.temporal_strides == (2, 1, 1)
    torch.testing.assert_close(again.state_dict(), model.state_dict())


def test_all_misfits_are_in_one_error(tmp_path):
    state = small().state_dict()
    del state["backbone.layer2.0.conv1.conv.weight"], state["cls_head.fc_cls.bias"]
    state |= {"more": torch.ones(1), "backbone.conv1.bn.bias": torch.ones(9)}
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(DataError) as caught:
        load(tmp_path / "x.pth")
    said = str(caught.value)
    assert "wrong shape: backbone.conv1.bn.bias [9] (expected [4])" in said and "unexpected: more" in said
    assert "missing: backbone.layer2.0.conv1.conv.weight, cls_head.fc_cls.bias" in said and "\n" not in said


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_a_hostile_pickle_is_refused_and_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": small().state_dict(), "meta": Hostile()}, "x.pth")
    with pytest.raises(DataError, match=r"^x\.pth: refused .*mkdir.*; expected safetensors") as caught:
        load("x.pth")
    assert not os.path.exists("pwned") and "\n" not in str(caught.value)


DAMAGED = [b"", b"hello, world: no checkpoint", b"\x10\0\0\0\0\0\0\0{not JSON at all}", b"PK\x03\x04 torn"]


@pytest.mark.parametrize("contents", DAMAGED)
def test_damaged_files_give_one_line(contents, tmp_path):
    (tmp_path / "x.pth").write_bytes(contents)
    with pytest.raises(DataError, match=r"x\.pth: ") as caught:
        load(tmp_path / "x.pth")
    assert "\n" not in str(caught.value)


def test_other_files_and_recipes_are_named(tmp_path):
    torch.save({"fc.weight": torch.ones(2, 2)}, tmp_path / "x.pth")
    with pytest.raises(DataError, match=r"of no known model \(holds fc\.weight"):
        load(tmp_path / "x.pth")
    torch.save({"epoch": 3}, tmp_path / "x.pth")
    with pytest.raises(DataError, match="no tensors by name"):
        load(tmp_path / "x.pth")
    torch.save(small().state_dict(), tmp_path / "x.pth")
    with pytest.raises(WrongUsage, match="no recipe 'resnet'"):
        load(tmp_path / "x.pth", recipe="resnet")
    with pytest.raises(WrongUsage, match="No such file"):
        load(tmp_path / "none.pth")


def test_training_in_bf16_stays_close():
    model, x = small().train(), torch.from_numpy(np.random.default_rng(0).random((2, 5, 8, 16, 16), np.float32))
    exact = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(x)
    torch.testing.assert_close(rough.float(), exact, atol=0.1, rtol=0.1)
    rough.float().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
