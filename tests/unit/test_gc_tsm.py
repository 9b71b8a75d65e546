"""GC-TSM and its relatives: what frames they look at, their folded copies, and files of others."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli import models
from mma82cli.models.gc_tsm import GCTSM, fold, from_state, max_pool, recognises, renamed
from mma82cli.records import DataError
from mma82cli.rgb.pictures import cut, normalise
from mma82cli.training.rgb import predict as predicting
from mma82cli.training.rgb.data import Labelled
from mma82cli.training.rgb.predict import Predictor
from mma82cli.training.rgb.recipe import GcTsmRecipe
from mma82cli.training.rgb.task import RgbTask, make_model
from mma82cli.video import Clip

SMALL = {"num_classes": 5, "base_channels": 16, "stage_blocks": (1, 2), "dropout": 0.0}
KINDS = {"gc-tsm": {}, "tsm": {"gate_div": 0}, "tsn": {"gate_div": 0, "shift_div": 0}, "manet": {"gate_div": 0, "squeeze_div": 4},
         "eighths": {"gate_div": 8}}  # fmt: skip


@pytest.fixture(params=KINDS)
def model(request):
    """A small network of each kind whose statistics are not those of a new one."""
    torch.manual_seed(0)
    model = GCTSM(**SMALL, **KINDS[request.param]).double().train()
    torch.nn.init.normal_(model.fc.weight)
    model(torch.randn(3, 4, 3, 33, 40).double())  # odd sizes too
    return model.eval()


def test_folded_it_says_the_same(model):
    frames = torch.randn(2, 4, 3, 33, 40).double()
    with torch.inference_mode():
        expected = model(frames)
        assert torch.allclose(fold(model)(frames), expected, rtol=0, atol=1e-11 * expected.abs().max())
        single = fold(model.float())
        assert (single(frames.float()) - expected).abs().max() < 2e-6 * expected.abs().max()
        assert (single.bfloat16()(frames.bfloat16()) - expected).abs().max() < 4e-2 * expected.abs().max()


def test_in_evaluation_gradients_change_nothing(model):
    frames = torch.randn(2, 4, 3, 32, 32).double()
    with torch.inference_mode():
        expected = model(frames)
    assert torch.allclose(model(frames.requires_grad_()), expected, rtol=0, atol=1e-12)


def test_only_tsn_is_blind_to_the_order_of_frames():
    frames = torch.randn(1, 4, 3, 32, 32)
    for kind, more in KINDS.items():
        model = GCTSM(**SMALL, **more).eval()
        torch.nn.init.normal_(model.fc.weight)
        with torch.inference_mode():
            same = torch.allclose(model(frames), model(frames.flip(1)), atol=1e-5)
        assert same == (kind == "tsn"), kind


class Noise:
    """Clips of 20 frames of moving noise before a `scenery`."""

    def __init__(self, scenery):
        self.scenery = scenery

    def count(self, clip):
        return 20

    def pick(self, clip, numbers):
        frames = np.random.default_rng(int(clip.path)).integers(0, 100, (20, 36, 40, 3))
        return [(frames[number] + self.scenery).astype(np.uint8) for number in numbers]


@pytest.mark.parametrize("still", ["keep", "remove"])
def test_what_stands_still_matters_or_does_not(still):
    sizes = {"base_channels": 16, "stage_blocks": (1, 1), "short_side": 36, "size": 36, "test_size": 36, "flip": 0.0}
    recipe = GcTsmRecipe(**sizes, crop_scales=(1.0,), batch_size=2, micro_batch=2, still=still)
    sources = Noise(np.zeros((36, 40, 3))), Noise(np.random.default_rng(9).integers(0, 150, (36, 40, 3)))
    clips = [Clip(str(i), 0.0, 1.0) for i in range(3)]
    model = make_model(recipe, 4)
    torch.nn.init.normal_(model.fc.weight)
    one, other = (np.stack(list(Predictor(model, recipe, s, torch.device("cpu"))(clips))) for s in sources)
    assert np.allclose(one, other, atol=1e-5) == (still == "remove")
    losses = []
    for source in sources:
        task = RgbTask(recipe, source, [Labelled(clip, i) for i, clip in enumerate(clips)], [], torch.device("cpu"))
        loaded = task.load(np.array([0, 1]), np.random.default_rng(0))
        losses.append(task.part_loss(model.train(), loaded, np.random.default_rng(0), None)[0].item())
    assert np.isclose(*losses, atol=1e-5) == (still == "remove")


def test_frames_are_normalised_as_the_recipe_says():
    frames = torch.randint(0, 256, (2, 8, 6, 5, 3), dtype=torch.uint8)
    seen = normalise(frames)
    assert seen.shape == (2, 8, 3, 6, 5)
    pixel = (frames[1, 3, 2, 4] / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(seen[1, 3, :, 2, 4], pixel)
    seen = normalise(frames, "remove").double()
    torch.testing.assert_close(seen.mean(1), torch.zeros(2, 3, 6, 5).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(seen.square().mean((1, 2, 3, 4)), torch.ones(2).double(), atol=1e-5, rtol=0)
    assert not normalise(torch.full((1, 8, 6, 5, 3), 200, dtype=torch.uint8), "remove").any()  # and no 0 / 0


@pytest.mark.parametrize("size", [(7, 7), (8, 5), (1, 1), (2, 1), (16, 16)])
def test_max_pool_at_bf16_is_torchs(size):
    x = torch.randn(2, 8, *size).bfloat16().contiguous(memory_format=torch.channels_last)
    assert torch.equal(max_pool(x), torch.nn.functional.max_pool2d(x, 3, 2, 1))


class Torn(Noise):
    """Clip 2 is damaged."""

    def count(self, clip):
        if clip.path == "2":
            raise DataError("2 is damaged")
        return 20


@pytest.mark.parametrize("size,job,behind", [(2, 1, 0), (4, 3, 1), (4, 1, 1), (64, 8, 1), (1, 8, 0)])
def test_answers_come_in_order_however_they_are_shared_out(size, job, behind, monkeypatch):
    """As a GPU has them, too; around a clip that can't be read."""
    recipe = GcTsmRecipe(base_channels=16, stage_blocks=(1, 1), short_side=36, size=32, test_size=32, clips=2)
    model = make_model(recipe, 4)
    torch.nn.init.normal_(model.fc.weight)
    predict = Predictor(model, recipe, Torn(np.zeros((36, 40, 3))), torch.device("cpu"))
    clips = [Clip(str(i), 0.0, 1.0) for i in range(7)]
    alone = [next(predict([clip])) for clip in clips]
    for table, value in ((predicting.AT_ONCE, size), (predicting.JOB, job), (predicting.BEHIND, behind)):
        monkeypatch.setitem(table, "cpu", value)
    for i, (one, other) in enumerate(zip(predict(clips), alone, strict=True)):
        if i == 2:
            assert isinstance(one, DataError) and isinstance(other, DataError)
        else:
            np.testing.assert_allclose(one, other, atol=1e-6)
    assert list(predict([])) == []


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_frames_are_cut_alike_alone_and_together(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    height, width, size = (data.draw(st.integers(4, 40)) for _ in range(3))
    w, h = data.draw(st.integers(1, width)), data.draw(st.integers(1, height))
    box = data.draw(st.integers(0, width - w)), data.draw(st.integers(0, height - h)), w, h
    frames = [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(3)]
    frames = [frames[i] for i in (0, 0, 1, 2)]
    flip = data.draw(st.booleans())
    found = cut(frames, box, size, flip)
    for one, frame in zip(found, frames, strict=True):
        part = frame[box[1] : box[1] + h, box[0] : box[0] + w]
        if (h, w) != (size, size):
            area = min(w, h) > 2 * size
            part = cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA if area else cv2.INTER_LINEAR)
        part = part[:, ::-1] if flip else part
        np.testing.assert_array_equal(one, part[..., ::-1])


def as_published(state: dict, kind: str) -> dict:
    """Our names in the words of others (from their sources; see `gc_tsm_weights`)."""
    out = {}
    for key, value in state.items():
        if kind in ("gc-tsm", "tsm"):
            key = f"module.base_model.{key}" if not key.startswith("fc.") else f"module.new_{key}"
            if kind == "tsm":
                key = re.sub(r"(layer\d\.\d+\.conv1)\.", r"\1.net.", key)
        elif kind in ("mmaction2", "manet"):
            key = re.sub(r"conv(\d)\.weight", r"conv\1.conv.weight", key)
            key = re.sub(r"(^|\.)bn(\d)\.", r"\1conv\2.bn.", key)
            key = key.replace("downsample.0", "downsample.conv").replace("downsample.1", "downsample.bn")
            key = re.sub(r"(layer\d\.\d+\.conv1\.conv)\.", r"\1.net.", key)
            key = key.replace(".fcce.", ".conv1.conv.fcce.")
            key = "backbone." + key if not key.startswith("fc.") else key.replace("fc.", "cls_head.fc_cls.")
        out[key] = value
    if kind == "manet":
        out["backbone.layer1.0.conv1.conv.action_p2_squeeze.weight"] = torch.zeros(1, 16, 1, 1)
        out["cls_head.fc_emb_t.weight"] = torch.zeros(3, 3)
    return out


@pytest.mark.parametrize("kind", ["torchvision", "gc-tsm", "tsm", "mmaction2", "manet"])
def test_files_of_others_load_by_their_names(kind, tmp_path):
    sizes = {**SMALL, "stage_blocks": (1, 2, 1, 1), **KINDS.get(kind, {"gate_div": 0})}
    model = GCTSM(**sizes).eval()
    torch.nn.init.normal_(model.fc.weight)
    theirs = as_published(model.state_dict(), kind)
    assert kind == "torchvision" or set(theirs) != set(model.state_dict())
    torch.save({"state_dict": theirs, "epoch": 3, "meta": {}}, tmp_path / "theirs.pth")
    found = models.load(tmp_path / "theirs.pth")
    frames = torch.randn(1, 4, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(found(frames), model(frames))
    assert found.dims.shift_div == 8 and models.load(tmp_path / "theirs.pth", shift_div=0).dims.shift_div == 0


def test_what_does_not_fit_is_named(tmp_path):
    state = as_published(GCTSM(**SMALL).state_dict(), "gc-tsm")
    del state["module.base_model.layer1.0.eft2.conv.weight"]
    state["module.base_model.layer2.0.nl.g.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "odd.pth")
    with pytest.raises(DataError, match=r"missing: layer1\.0\.eft2\.conv\.weight; unexpected: layer2\.0\.nl\.g\.weight"):
        models.load(tmp_path / "odd.pth")
    deep = renamed(state) | {"layer2.22.conv1.weight": torch.zeros(1)}
    with pytest.raises(DataError, match="a deep ResNet"):
        from_state(deep, "deep.pth")
    assert recognises(state) and not recognises({"backbone.conv1.conv.weight": torch.zeros(1, 17, 1, 7, 7)})
