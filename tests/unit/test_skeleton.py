"""Layouts, the keypoints field, sampling, geometry and heatmaps."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from bench.plain_skeleton import plain_heatmaps
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli.records import DataError, WrongUsage
from mma82cli.skeleton import HeatmapBuffer, geometry, heatmaps, layouts, limb_heatmaps, sampling
from mma82cli.skeleton.keypoints import from_record, to_record
from mma82cli.training.skeleton.clips import read_clip


@pytest.mark.parametrize("name, joints, limbs", [("coco17", 17, 17), ("jhmdb15", 15, 14)])
def test_built_in_layouts(name, joints, limbs):
    layout = layouts.load_layout(name)
    assert (layout.name, len(layout), len(layout.limbs)) == (name, joints, limbs)
    for left, right in layout.pairs:
        assert layout.joints[left].replace("left", "right") == layout.joints[right]
    mirrored = layout.mirrored()
    assert [mirrored[i] for i in mirrored] == list(range(joints))
    limb = layout.mirrored_limbs()
    assert [limb[i] for i in limb] == list(range(limbs))
    assert layouts.from_json(json.loads(json.dumps(layout.to_json()))) == layout


@pytest.mark.parametrize(
    "data, said",
    [
        ([], "'joints' of the layout"),
        ({"joints": ["a", "a"]}, "different names"),
        ({"joints": ["a", "b"], "pairs": [[0, 2]]}, "[0, 2]"),
        ({"joints": ["a", "b"], "limbs": 3}, "holds 3"),
        ({"joints": ["a", "b", "c"], "pairs": [[0, 1], [1, 2]]}, "two of the layout's 'pairs'"),
    ],
)
def test_a_wrong_layout_is_named(data, said, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(data))
    with pytest.raises(DataError, match=r"mine\.json") as caught:
        layouts.load_layout(str(path))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_layouts_and_records_need_no_torch():
    code = "import sys, mma82cli.skeleton.keypoints, mma82cli.skeleton.layouts; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


coordinates = st.floats(-5000, 5000, width=32)


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.data())
@settings(max_examples=50)
def test_keypoints_come_back_from_a_record(persons, frames, joints, data):
    values = data.draw(st.lists(coordinates, min_size=persons * frames * joints * 3, max_size=persons * frames * joints * 3))
    points = np.array(values, np.float32).reshape(persons, frames, joints, 3)
    found = np.array(data.draw(st.lists(st.booleans(), min_size=frames, max_size=frames)))
    if persons == 1:
        points, found_all = points[0], found
    else:
        found_all = np.broadcast_to(found, (persons, frames))
    field = json.loads(json.dumps(to_record(points, found_all)))
    back = from_record({"keypoints": field}, joints=joints)
    kept = np.where(found[:, None, None], points, 0)
    expected = kept[None] if persons == 1 else kept if found.any() else kept[:1]
    np.testing.assert_allclose(back[..., :2], expected[..., :2], atol=0.00501)
    np.testing.assert_allclose(back[..., 2], expected[..., 2], atol=0.001)


def test_persons_may_come_and_go():
    back = from_record({"keypoints": [[[1, 2, 1]], None, [[3, 4, 1], [5, 6, 0.5]], [7, 8, 1]]})
    assert back.shape == (2, 4, 1, 3)
    assert back[:, :, 0, 0].tolist() == [[1, 0, 3, 7], [0, 0, 5, 0]]
    assert from_record({"layout": "jhmdb15", "keypoints": [None, None]}).shape == (1, 2, 15, 3)


@pytest.mark.parametrize(
    "field, said",
    [
        (None, "'keypoints' is null"),
        ([], "'keypoints' is []"),
        ([[1, 2, 1], [1, 2]], "frame 1 of 'keypoints' holds 2 numbers; expected 3"),
        ([None, [1, 2, "x"]], "frame 1 of 'keypoints' holds \"x\""),
        ([[1, None, 1]], "holds null"),
        ([[1, 1e999, 1]], "Infinity"),
        ([[1, 1e300, 1]], "1e+300"),
        ([[True, 2, 1]], "true"),
        ([7], "frame 0 of 'keypoints' is 7"),
        ([None], "no 'layout'"),
    ],
)
def test_malformed_keypoints_are_named(field, said):
    with pytest.raises(DataError) as caught:
        from_record({"keypoints": field})
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_joints_must_be_finite_and_as_many_as_expected():
    with pytest.raises(DataError, match="not finite"):
        to_record(np.full((1, 2, 3), np.nan))
    assert to_record(np.full((1, 2, 3), np.nan), [False]) == [None]
    with pytest.raises(DataError, match="holds 3 numbers; expected 51 for 17"):
        from_record({"keypoints": [[1, 2, 3]]}, joints=17)


@given(st.integers(1, 300), st.integers(1, 48), st.integers(0, 9))
@settings(max_examples=60)
def test_indices_lie_in_the_video_and_rise_where_it_is_long_enough(frames, clip_len, seed):
    drawn = sampling.train_indices(np.array([frames, 1, 400]), clip_len, np.random.default_rng(seed), 0.3 * (seed % 2))
    tested = sampling.test_indices(frames, clip_len, 2)
    assert (drawn[1] == 0).all() and drawn[2].max() < 400
    for indices in (*tested, *([] if seed % 2 else [drawn[0]])):
        assert indices.shape == (clip_len,) and indices.min() >= 0 and indices.max() < frames
        if frames >= clip_len:
            assert (np.diff(indices) > 0).all()
    with pytest.raises(WrongUsage, match="mmaction2 or pyskl"):
        sampling.test_indices(frames, clip_len, 2, "other")


def bodies(batch=3, persons=2, frames=4, joints=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(batch, persons, frames, joints, 3, generator=generator) * 300 + 20
    points[0, 0, 1, 2, 0] = float("nan")
    points[1, 1, :, 3, :2] = 0
    points[2, ..., :2] = 40 + points[2, ..., :2] / 100  # too small to be cut out
    return points, torch.tensor([[480, 640], [240, 320], [100, 100]])


def test_a_batch_is_its_clips():
    points, shapes = bodies()
    which, mirrored = torch.tensor([True, False, True]), [1, 0, 2, 4, 3]

    def chain(p, s, w):
        p, s = geometry.resize(*geometry.compact(p, s), (64, 64))
        p, s = geometry.crop(p, torch.tensor([[2, 1, 56, 58]]).expand(len(p), 4))
        p, s = geometry.resize(p, s, (56, 56))
        return geometry.flip(p, s, mirrored, w)

    together = chain(points, shapes, which)
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], chain(points[i : i + 1], shapes[i : i + 1], which[i : i + 1]))


def test_compact_leaves_missing_joints_and_small_bodies():
    points, shapes = bodies()
    moved, sizes = geometry.compact(points, shapes)
    assert (moved[1, 1, :, 3, :2] == 0).all() and moved[0, 0, 1, 2, 0] == 0
    assert torch.equal(moved[2], points[2]) and sizes[2].tolist() == [100, 100]
    height, width = sizes[0].tolist()  # a square, but for the peers' int() of each of its sides
    assert abs(height - width) <= 1 and height < 480


def test_flipping_twice_is_nothing():
    points, shapes = bodies()
    points, every = torch.nan_to_num(points), torch.ones(3, dtype=torch.bool)
    twice = geometry.flip(geometry.flip(points, shapes, [1, 0, 2, 4, 3], every), shapes, [1, 0, 2, 4, 3], every)
    torch.testing.assert_close(twice, points)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 99))
@settings(max_examples=60)
def test_crops_lie_in_the_picture(height, width, seed):
    shapes = torch.tensor([[height, width]] * 3)
    draws = geometry.draw_crops(3, np.random.default_rng(seed))
    x1, y1, x2, y2 = geometry.crop_boxes(shapes, *map(torch.from_numpy, draws)).T
    assert (x1 >= 0).all() and (y1 >= 0).all() and (x2 <= width).all() and (y2 <= height).all()
    assert (x2 > x1).all() and (y2 > y1).all()


@given(st.integers(1, 2), st.sampled_from([0.4, 0.6, 1.0]), st.integers(3, 20), st.integers(3, 20), st.integers(0, 999))
@settings(max_examples=60)
def test_heatmaps_equal_the_plain_loop(persons, sigma, height, width, seed):
    """Inside, on the edge and beyond; scores of nothing; a kept buffer that holds another drawing."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-4, 1.3 * max(height, width), (2, persons, 3, 5, 3)).astype(np.float32)
    points[..., 2] = rng.choice([0, 5e-5, 0.3, 1], points.shape[:-1])
    points[:, :, 0, 0, :2] = 0
    buffer = HeatmapBuffer()
    heatmaps(torch.from_numpy(points[:, :, ::-1].copy()), (height, width), sigma, out=buffer)
    kept = heatmaps(torch.from_numpy(points), (height, width), sigma, out=buffer)
    fresh = heatmaps(torch.from_numpy(points), (height, width), sigma)
    assert torch.equal(kept, fresh)
    contiguous = heatmaps(torch.from_numpy(points), (height, width), sigma, joints_last=False)
    assert torch.equal(contiguous, fresh) and contiguous.is_contiguous()
    for i in range(2):
        plain = plain_heatmaps(points[i], (height, width), sigma)
        np.testing.assert_allclose(fresh[i].transpose(0, 1).numpy(), plain, atol=3e-7)


def test_heatmaps_without_persons_axis_and_without_finite_joints():
    points = torch.rand(2, 4, 3, 3) * 16
    assert torch.equal(heatmaps(points, (16, 12)), heatmaps(points[:, None], (16, 12)))
    assert heatmaps(points, (16, 12)).shape == (2, 3, 4, 16, 12)
    points[0, 0, 0, 0], points[0, 1, 1, 1] = float("nan"), float("inf")
    maps = heatmaps(points, (16, 12))
    assert maps.isfinite().all() and maps[0, 0, 0].max() == 0 and maps[0, 1, 1].max() == 0
    assert torch.isfinite(limb_heatmaps(points, [(0, 1), (1, 2)], (16, 12))).all()


@pytest.mark.filterwarnings("error")
def test_joints_at_the_end_of_the_world_are_read_quietly():
    record = {"layout": "coco17", "keypoints": [[1e30, 5.0, 0.9] * 17]}
    height, width = read_clip(record, layouts.load_layout("coco17")).shape
    assert height == 6 and width > 1e9


def test_scores_below_the_peers_thresholds_draw_nothing():
    points = torch.tensor([8.0, 8.0, 5e-4]).view(1, 1, 1, 3)
    assert heatmaps(points, (16, 16)).max() > 0
    assert heatmaps(points, (16, 16), eps=1e-3).max() == 0


def test_a_limb_draws_its_segment():
    points = torch.tensor([[4.0, 8, 0.9], [12.0, 8, 0.5]]).view(1, 1, 2, 3)
    row = limb_heatmaps(points, [(0, 1)], (16, 16))[0, 0, 0, 8]
    assert (row[4:13] == 0.5).all() and row[0] == 0 and row[3] < 0.5
    short = points.clone()
    short[..., 1, :2] = torch.tensor([4.5, 8.0])
    joint = heatmaps(points[:, :, :1], (16, 16))
    torch.testing.assert_close(limb_heatmaps(short, [(0, 1)], (16, 16)), joint, atol=3e-7, rtol=0)
