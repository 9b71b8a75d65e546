"""Decoders on ideal responses, the crop's geometry, gaps, side-cars, processes."""

from __future__ import annotations

import os
import shutil
import signal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli import share
from mma82cli.pose import decode, geometry, person
from mma82cli.pose.builder import choose_backend
from mma82cli.pose.model import ALIGN, load_model
from mma82cli.pose.task import Clip, Settings
from mma82cli.pose.workers import Workers, in_order
from mma82cli.records import DataError, WrongUsage

few = settings(max_examples=60)
spot = st.floats(4, 187)


def bins(at: float, count: int, sigma: float) -> np.ndarray:
    return np.exp(-((np.arange(count) - 2 * at) ** 2) / (2 * sigma**2)).astype(np.float32)


@few
@given(spot, st.floats(4, 250), st.floats(2, 7), st.floats(0.01, 50))
def test_simcc_finds_an_ideal_peak_between_bins_at_any_height(x, y, sigma, height):
    points, score = decode.simcc(height * bins(x, 384, sigma)[None, None], height * bins(y, 512, sigma)[None, None])
    assert np.allclose(points[0, 0], (x, y), atol=1e-3)
    assert 0.9 * height < score[0, 0] <= 1.001 * height


@few
@given(spot, st.floats(4, 250))
def test_simcc_argmax_is_within_half_a_bin(x, y):
    points, _ = decode.simcc(bins(x, 384, 5)[None, None], bins(y, 512, 5)[None, None], peak="argmax")
    assert np.abs(points[0, 0] - (x, y)).max() <= 0.2501
    assert (points * 2 == np.round(points * 2)).all()


@few
@given(st.integers(0, 2**32 - 1))
def test_nothing_throws_a_joint_out_of_reach_of_its_best_bin(seed):
    rng = np.random.default_rng(seed)
    x, y = (rng.normal(0, 1, (2, 17, n)).astype(np.float32) for n in (384, 512))
    rough, _ = decode.simcc(x, y, peak="argmax")
    fine, score = decode.simcc(x, y)
    assert np.isfinite(fine).all()
    assert np.abs(fine - rough)[score > 0].max() <= 1.0 + 1e-9  # two bins
    maps = rng.normal(0, 1e-6, (2, 17, 64, 48)).astype(np.float32) * rng.integers(0, 2)
    cells, _ = decode.heatmaps(maps, "argmax")
    moved, _ = decode.heatmaps(maps, blur=11)
    assert np.abs(moved - cells).max() <= 1.0


def test_simcc_beside_the_border_and_flat_stays_inside():
    edge = np.zeros((1, 1, 384), np.float32)
    edge[..., 0] = 1
    points, _ = decode.simcc(edge, np.zeros((1, 1, 512), np.float32))
    assert points.tolist() == [[[0.0, 0.0]]]
    points, score = decode.simcc(-np.ones((1, 1, 384), np.float32), -np.ones((1, 1, 512), np.float32), peak="argmax")
    assert points.tolist() == [[[-0.5, -0.5]]] and score[0, 0] == -1


@few
@given(st.floats(2, 45), st.floats(2, 61), st.floats(1.5, 3), st.sampled_from([0, 11]))
def test_dark_finds_an_ideal_peak_between_cells(x, y, sigma, blur):
    ys, xs = np.mgrid[:64, :48]
    one = np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * sigma**2)).astype(np.float32)
    points, score = decode.heatmaps(one[None, None], blur=blur)
    margin = 6 if blur else 1  # a blur that meets the border is lopsided
    inside = margin < x < 47 - margin and margin < y < 63 - margin
    assert np.allclose(points[0, 0], (x, y), atol=5e-3 if inside else 1.0)
    assert score[0, 0] == one.max()


def test_joints_and_frames_are_decoded_alike_one_by_one_and_together():
    rng = np.random.default_rng(1)
    x, y = rng.random((5, 17, 384), np.float32), rng.random((5, 17, 512), np.float32)
    together, _ = decode.simcc(x, y)
    alone = [decode.simcc(x[i : i + 1, j : j + 1], y[i : i + 1, j : j + 1])[0][0, 0] for i in range(5) for j in range(17)]
    assert np.array_equal(together.reshape(-1, 2), np.array(alone))


boxes = st.tuples(st.floats(-50, 300), st.floats(-50, 300), st.floats(5, 400), st.floats(5, 400))


@few
@given(boxes, st.sampled_from(ALIGN), st.sampled_from([(192, 256), (384, 288), (256, 256)]))
def test_region_keeps_centre_and_aspect_and_points_come_back(box, align, size):
    x, y, w, h = box
    area = geometry.region((x, y, x + w, y + h), size)
    assert np.allclose(area[:2] + area[2:] / 2, (x + w / 2, y + h / 2))
    assert np.isclose(area[2] / area[3], size[0] / size[1])
    assert area[2] >= 1.25 * w - 1e-6 and area[3] >= 1.25 * h - 1e-6
    points = np.random.default_rng(0).uniform(-100, 500, (1, 9, 2))
    there = (points - area[:2]) * (geometry.pixels(size, align) / area[2:])
    assert np.allclose(geometry.to_frame(there, area[None], size, align), points)


@pytest.mark.parametrize("align", ALIGN)
def test_a_dot_in_the_frame_is_in_the_crop_where_geometry_says(align):
    frame = np.zeros((300, 400, 3), np.uint8)
    frame[120:123, 200:203] = 255
    area = geometry.region((120, 40, 280, 260), (192, 256))
    crop = geometry.crop(frame, area, (192, 256), align)[..., 0].astype(float)
    ys, xs = np.mgrid[:256, :192]
    centre = np.array([(crop * xs).sum(), (crop * ys).sum()]) / crop.sum()
    assert np.allclose(geometry.to_frame(centre[None, None], area[None], (192, 256), align)[0, 0], (201, 121), atol=0.1)


def test_the_other_alignment_is_another_place():
    cells = np.array([[[47.0, 63.0]]])
    classic, udp = (decode.heatmap_input(cells, (48, 64), (192, 256), a) for a in ALIGN)
    assert classic.tolist() == [[[188.0, 252.0]]] and udp.tolist() == [[[191.0, 255.0]]]


def test_short_gaps_are_bridged_at_score_0_and_long_ones_and_ends_stay():
    times = np.arange(40) / 30
    joints = np.zeros((40, 17, 3))
    joints[..., 0] = np.arange(40)[:, None]
    joints[..., 2] = 0.9
    seen = np.ones(40, bool)
    seen[[0, 5, 6, 39]] = False
    seen[12:30] = False  # 0.6 s
    joints[~seen] = 0
    filled, now, count = person.fill_gaps(joints, seen, times)
    assert count == 2 and np.flatnonzero(~now).tolist() == [0, *range(12, 30), 39]
    assert filled[5, :, 0].tolist() == [5.0] * 17 and filled[5, :, 2].max() == 0
    assert np.array_equal(filled[7], joints[7]) and not joints[5].any()
    nobody = person.fill_gaps(joints, np.zeros(40, bool), times)
    assert not nobody[1].any() and nobody[2] == 0


def test_a_person_is_there_when_five_joints_are():
    joints = np.zeros((3, 17, 3))
    joints[0, :5, 2] = 0.8
    joints[1, :2, 2] = 0.45
    assert person.found(joints, 0.2).tolist() == [True, False, False]


# -- the model's file and its side-car -------------------------------------------------------------------------


@pytest.fixture
def dots(tmp_path):
    folder = share.share_dir() / "models"
    for suffix in (".onnx", ".toml"):
        shutil.copy(folder / f"dots{suffix}", tmp_path)
    return tmp_path / "dots.onnx"


def test_side_car_is_checked(dots):
    model = load_model("dots")
    assert model.title == f"dots@sha256:{model.hash[:12]}" and model.whole_frame
    assert load_model(str(dots)) == load_model(str(dots), channel_order=None)
    assert load_model(str(dots), channel_order="bgr").channel_order == "bgr"
    card = dots.with_suffix(".toml")
    text = card.read_text()
    card.write_text(text.replace('"classic"', '"clasic"'))
    with pytest.raises(DataError, match="'align' is \"clasic\"; expected"):
        load_model(str(dots))
    card.write_text("input = ")
    with pytest.raises(DataError, match="dots.toml"):
        load_model(str(dots))
    card.write_text(text)
    dots.write_bytes(dots.read_bytes() + b"\0")
    with pytest.raises(DataError, match="sha256 is .*expected"):
        load_model(str(dots))
    card.unlink()
    assert not load_model(str(dots)).described
    with pytest.raises(WrongUsage, match="built in: dots.*public: rtmpose-t"):
        load_model("rtmpose-x")


def test_backend_auto():
    assert choose_backend("auto", "dots") == ("onnx", "dots")
    with pytest.raises(WrongUsage):
        choose_backend("onnx", None)
    with pytest.raises(WrongUsage):
        choose_backend("mediapipe", "dots")


# -- processes ---------------------------------------------------------------------------------------------------


def test_a_process_that_dies_costs_one_clip(tmp_path):
    missing = str(tmp_path / "none.mp4")
    with Workers(Settings("onnx", load_model("dots")), 1) as workers:
        assert workers.title().startswith("dots@sha256:")
        os.kill(workers._processes[0]._process.pid, signal.SIGKILL)
        asked = [("a", Clip(missing)), ("b", DataError("told before")), ("c", Clip(missing))]
        results = list(in_order(iter(asked), workers))
    assert [tag for tag, _ in results] == ["a", "b", "c"]
    assert "died (signal 9)" in str(results[0][1])
    assert str(results[1][1]) == "told before"
    assert str(results[2][1]).endswith("none.mp4: No such file or directory")


def test_what_the_input_raises_comes_after_what_came_before(tmp_path):
    def asked():
        yield 1, Clip(str(tmp_path / "none.mp4"))
        raise DataError("broken line")

    with Workers(Settings(load_model("dots")), 2) as workers:
        results = in_order(asked(), workers)
        assert isinstance(next(results)[1], DataError)
        with pytest.raises(DataError, match="broken line"):
            next(results)
