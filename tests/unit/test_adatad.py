"""AdaTAD: what it may skip, what packing may not change, and what its losses and windows promise."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mma82cli import models
from mma82cli.detection import losses, proposals, targets, windows
from mma82cli.models import actionformer, adatad, videomae
from mma82cli.models.adatad import AdaTAD, Dims
from mma82cli.records import DataError, WrongUsage

pytestmark = pytest.mark.usefixtures("one_thread")


def small(blocks=3, adapters=None, stem=0, embed=2, path_scale=True, path_drop=0.1, **backbone):
    """A small detector whose adapters and scales do something."""
    torch.manual_seed(0)
    sizes = {"dim": 16, "depth": blocks, "heads": 2, "hidden": 32, "image_size": 32, "adapter": 4, "adapter_blocks": adapters}
    head = actionformer.HeadDims(16, 16, 2, 5, embed=embed, stem=stem, path_scale=path_scale, path_drop=path_drop)
    model = AdaTAD(Dims(videomae.Dims(**sizes | backbone), head)).eval()
    for name, parameter in model.named_parameters():
        if "adapter" in name or "drop_path" in name or "bias" in name:
            nn.init.normal_(parameter, std=0.3)
    return model.requires_grad_(False)


def plain_features(model, frames):
    """Features (B, dim, T) of whole windows (B, 3, T, H, W) as a reader of the paper would compute them: each clip through
    its block, the adapter's convolution over all frames of the window, nothing skipped."""
    batch, _, length = frames.shape[:3]
    x = model.backbone.embed(frames.unflatten(2, (-1, 16)).transpose(1, 2).flatten(0, 1))
    for block in model.backbone.blocks:
        y = block.norm1(x)
        parts = (y @ block.attn.qkv.weight.T).chunk(3, 2)
        q, k, v = (part.unflatten(2, (block.attn.heads, -1)).transpose(1, 2) for part in parts)
        heads = q.shape[1]
        q = q + block.attn.q_bias.view(1, heads, 1, -1)
        v = v + block.attn.v_bias.view(1, heads, 1, -1)
        weights = (q @ k.mT / q.shape[3] ** 0.5).softmax(3)
        x = x + block.attn.proj((weights @ v).transpose(1, 2).flatten(2))
        x = x + block.mlp(block.norm2(x))
        if block.adapter is None:
            continue
        a = nn.functional.gelu(block.adapter.down_proj(x))
        over_time = a.unflatten(0, (batch, -1)).unflatten(2, (8, -1)).flatten(1, 2)  # (B, tubelets, places, channels)
        lines = over_time.permute(0, 2, 3, 1).flatten(0, 1)  # (B * places, channels, tubelets)
        lines = block.adapter.conv(block.adapter.dwconv(lines))
        back = lines.unflatten(0, (batch, -1)).permute(0, 3, 1, 2).reshape(a.shape)
        x = x + block.adapter.gamma * block.adapter.up_proj(a + back)
    tubelets = x.unflatten(1, (8, -1)).mean(2).unflatten(0, (batch, -1)).flatten(1, 2).mT
    return nn.functional.interpolate(tubelets, size=length, mode="linear", align_corners=False)


@pytest.mark.parametrize("adapters,stem,embed", [(None, 0, 2), ((0, 2), 1, 2), ((), 0, 3), ((1,), 2, 2)])
def test_skipping_changes_nothing(adapters, stem, embed):
    model = small(adapters=adapters, stem=stem, embed=embed).double()
    frames = torch.randn(3, 3, 128, 32, 32, dtype=torch.float64)
    for lengths in ([1, 16, 17], [31, 32, 33], [128, 127, 64]):
        mask = torch.arange(128) < torch.tensor(lengths)[:, None]
        whole = model.detect(plain_features(model, frames), mask)
        for (got, offsets, _), (want, want_offsets, _), valid in zip(
            model(frames, mask), whole, adatad.level_masks(mask, 6), strict=True
        ):
            torch.testing.assert_close(got.mT[valid], want.mT[valid], atol=1e-9, rtol=0)
            torch.testing.assert_close(offsets.mT[valid], want_offsets.mT[valid], atol=1e-9, rtol=0)


def test_what_is_skipped_is_not_run():
    model = small(blocks=2)
    seen = []
    model.backbone.blocks[0].register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    model.backbone.blocks[1].register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    model(torch.zeros(1, 3, 128, 32, 32), torch.arange(128)[None] < 14)
    assert seen == [3, 2]  # of 8 clips: the first, and what two adapters, then one, can see of those behind it


def test_packing_changes_nothing():
    model = small().double()
    clips = torch.randn(6, 3, 16, 32, 32, dtype=torch.float64)
    lengths, counts = [40, 10, 32], [3, 1, 2]
    mask = torch.arange(64) < torch.tensor(lengths)[:, None]
    together = model.detect(model.features(clips, counts, lengths), mask)
    for i, part in enumerate(clips.split(counts)):
        alone = model.detect(model.features(part, counts[i : i + 1], lengths[i : i + 1]), mask[i : i + 1])
        for (got, offsets, _), (want, want_offsets, _) in zip(together, alone, strict=True):
            torch.testing.assert_close(got[i : i + 1], want, atol=1e-9, rtol=0)
            torch.testing.assert_close(offsets[i : i + 1], want_offsets, atol=1e-9, rtol=0)


@pytest.mark.parametrize("adapters", [None, (), (1,)])
def test_what_learns_is_what_finds(adapters):
    model = small(adapters=adapters, path_drop=0.0).double()
    clips = torch.randn(6, 3, 16, 32, 32, dtype=torch.float64)
    lengths, counts = [35, 10, 32], [3, 1, 2]
    mask = torch.arange(64) < torch.tensor(lengths)[:, None]
    levels = model.detect(model.features(clips, counts, lengths), mask)
    found = model.learn(*model.lesson(clips, counts, mask, np.random.default_rng(0)))
    masks = adatad.level_masks(mask, 6)
    for i, (logits, offsets, _) in enumerate(levels):
        torch.testing.assert_close(found[2 * i].mT[masks[i]], logits.mT[masks[i]], atol=1e-9, rtol=0)
        torch.testing.assert_close(found[2 * i + 1].mT[masks[i]], offsets.mT[masks[i]], atol=1e-9, rtol=0)


def test_recomputing_activations_changes_nothing():
    model = small(drop_path=0.5).double().requires_grad_(True)
    clips, grads = torch.randn(3, 3, 16, 32, 32, dtype=torch.float64), []
    mask = torch.arange(64) < torch.tensor([[32], [16]])
    for model.backbone.checkpointing in (False, True):
        model.zero_grad()
        found = model.learn(*model.lesson(clips, [2, 1], mask, np.random.default_rng(1)))
        sum(each.square().sum() for each in found).backward()
        grads.append([parameter.grad.clone() for parameter in model.backbone.parameters()])
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", [{}, {"stem": 2, "embed": 3}, {"adapters": (1,), "path_scale": False}])
def test_a_checkpoint_shows_its_sizes(tmp_path, kind):
    model = small(**kind)
    torch.save(model.state_dict(), tmp_path / "own.pt")
    again = models.load(tmp_path / "own.pt", heads=2, head_heads=2)
    assert again.dims.head.embed == model.dims.head.embed and again.dims.backbone.image_size == 32
    mask = torch.arange(32)[None] < 20
    frames = torch.randint(0, 256, (1, 3, 32, 32, 32), dtype=torch.uint8)
    for got, want in zip(again(frames, mask), model(frames, mask), strict=True):
        torch.testing.assert_close(got[0], want[0])


def test_a_checkpoint_of_another_size_is_named(tmp_path):
    state = small().state_dict()
    state["rpn_head.scale.5.scale"] = torch.zeros(3)
    del state["neck.fpn_norms.2.bias"]
    torch.save(state, tmp_path / "odd.pt")
    with pytest.raises(DataError, match=r"wrong shape: rpn_head.scale.5.scale \[3\].*missing: neck.fpn_norms.2.bias"):
        models.load(tmp_path / "odd.pt", heads=2, head_heads=2)


quarters = st.integers(0, 240).map(lambda n: n / 4)  # exact in single precision
spans_of = st.lists(st.tuples(quarters, quarters.map(lambda n: n + 0.25), st.integers(0, 4)), max_size=8)


@settings(max_examples=60)
@given(spans_of)
def test_targets_equal_a_plain_loop(spans):
    points = torch.cat([actionformer.points(level, 64 // 2**level, 6) for level in range(6)])
    segments = torch.tensor([[start, start + length] for start, length, _ in spans]).reshape(-1, 2)
    labels = torch.tensor([label for _, _, label in spans], dtype=torch.long)
    classes, distances = targets.assign(points, segments, labels, 5)
    for (at, least, most, stride), got, sides in zip(points.tolist(), classes, distances, strict=True):
        fitting = []
        for (start, end), label in zip(segments.tolist(), labels.tolist(), strict=True):
            middle = (start + end) / 2
            inside = max(middle - 1.5 * stride, start) < at < min(middle + 1.5 * stride, end)
            if inside and least <= max(at - start, end - at) <= most:
                fitting.append((end - start, start, end, label))
        if not fitting:
            assert not got.any()
            continue
        shortest = min(length for length, *_ in fitting)
        near = {label for length, *_, label in fitting if length <= shortest + 1e-3}
        assert set(got.nonzero().flatten().tolist()) == near
        assert any(sides.tolist() == pytest.approx([(at - s) / stride, (e - at) / stride], abs=1e-3) for _, s, e, _ in fitting)


def test_losses_by_hand():
    counted = torch.tensor([True, False])
    even = losses.focal(torch.tensor([[0.0, 0.0], [9.0, 9.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]]), counted)
    assert even.item() == pytest.approx(0.25 * np.log(2), abs=1e-6)
    same = torch.tensor([[1.0, 2.0]])
    assert losses.diou(same, same, counted[:1]).item() == pytest.approx(0, abs=1e-6)
    # found [-1, 1], wanted [-2, 4]: IoU 2/6, middles 0 and 1, hull 6
    found, wanted = torch.tensor([[1.0, 1.0], [0.0, 0.0]]), torch.tensor([[2.0, 4.0], [0.0, 0.0]])
    assert losses.diou(found, wanted, counted).item() == pytest.approx(1 - 1 / 3 + 1 / 36)
    assert losses.moved(100.0, 0) == pytest.approx(90.1)


@given(st.integers(0, 400), st.integers(1, 16), st.integers(1, 5))
def test_windows_cover_every_frame_as_often_as_meant(frames, hop, times):
    size = hop * times
    spans = windows.spans(frames, size, hop)
    assert len(set(spans)) == len(spans)
    for (begin, end), (later, later_end) in zip(spans, spans[1:], strict=False):
        assert later == begin + hop and end == begin + size and later_end > end  # equal steps, none within another
    cover = np.zeros(frames, int)
    for begin, end in spans:
        assert 0 <= begin < end <= frames
        cover[begin:end] += 1
    frame = np.arange(frames)
    last = spans[-1][0] // hop if spans else 0
    meant = np.minimum(frame // hop, last) - np.maximum(frame // hop - times + 1, 0) + 1
    assert (cover == meant).all() and (cover >= 1).all()
    assert list(windows.stream(range(frames), size, hop)) == [
        (begin, list(range(begin, end)), (begin, end) == spans[-1]) for begin, end in spans
    ]


def test_overlaps_are_equal_steps():
    assert windows.hop_of(256, 0.5) == 128 and windows.hop_of(256, 0) == 256
    with pytest.raises(WrongUsage, match="can't overlap by 0.3"):
        windows.hop_of(256, 0.3)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=20), st.floats(-10, 40))
def test_seconds_and_moments_are_inverse(gaps, moment):
    times = np.cumsum(gaps)
    seconds = proposals.to_seconds(np.array([moment]), times, 0.2)
    assert proposals.to_moments(seconds, times, 0.2) == pytest.approx(moment, abs=1e-6)


def test_best_pairs_and_cuts():
    scores = torch.tensor([[0.5, 0.2], [0.5, 0.9]])
    found = proposals.best(torch.tensor([[-1.0, 1.0], [5.0, 9.0]]), scores, 0.3, 3)
    assert found.scores.tolist() == pytest.approx([0.9, 0.5, 0.5]) and found.labels.tolist() == [1, 0, 0]
    assert found.segments.tolist() == [[5, 9], [-1, 1], [5, 9]]
    cut = proposals.in_seconds(found, np.arange(4) * 0.5, 0.5, 0.0, 2.0)
    assert cut.segments.tolist() == [[0.0, 0.5]] and cut.labels.tolist() == [0]
