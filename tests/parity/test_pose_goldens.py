"""Joints against rtmlib's and against known truth; onnxruntime against OpenCV."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from conftest import tolerance

from mma82cli.pose import decode, geometry
from mma82cli.pose.model import load_model
from mma82cli.pose.network import build
from mma82cli.pose.task import Settings
from mma82cli.records import DataError
from mma82cli.video import Video

BOX = [100, 20, 380, 590]


@pytest.fixture(scope="module")
def pose(shared):
    return shared / "goldens" / "pose"


def rms(found, truth):
    return float(np.sqrt(((found[..., :2] - truth) ** 2).mean()))


def estimator_of(model, engine: str, peak: str = "subpixel"):
    return build(Settings("onnx", model, engine=engine, peak=peak))


def engines():
    import importlib.util

    return ["opencv"] + ["onnxruntime"] * bool(importlib.util.find_spec("onnxruntime"))


@pytest.mark.parametrize("engine", engines())
def test_rtmlib_simcc(pose, engine):
    records = [r for r in json.loads((pose / "rtmlib_decoded.json").read_text()) if r["kind"] == "simcc"]
    assert len(records) == 15
    estimator = estimator_of(load_model(str(pose / "tiny_simcc.onnx"), channel_order="bgr"), engine, peak="argmax")
    for record in records:
        frame = cv2.imread(str(pose / f"frame{record['frame']}.png"))
        joints = estimator.infer([frame], [record["bbox"]])[0]
        assert np.abs(joints[:, :2] - record["keypoints"]).max() <= 1e-2
        assert np.abs(joints[:, 2] - record["scores"]).max() <= tolerance(1e-5, 1e-3)


def test_crop_and_raw_outputs_of_rtmlib(pose):
    records = [r for r in json.loads((pose / "rtmlib_decoded.json").read_text()) if r["kind"] == "simcc" and r["frame"] == 0]
    frame = cv2.imread(str(pose / "frame0.png"))
    estimator = estimator_of(load_model(str(pose / "tiny_simcc.onnx"), channel_order="bgr"), "opencv")
    for i, record in enumerate(records):
        golden = np.load(pose / f"raw_simcc_f0_b{i}.npz")
        area = estimator._crop(0, frame, record["bbox"])
        crop = estimator._feed(range(1))[0]
        assert np.abs(crop - golden["crop"].transpose(2, 0, 1)).max() <= tolerance(1e-4, 0.06)
        assert np.allclose(area[:2] + area[2:] / 2, record["center"]) and np.allclose(area[2:], record["scale"])


def test_decoders_on_ideal_responses(pose):
    golden = np.load(pose / "decoder_truth.npz")
    points, _ = decode.simcc(golden["simcc_x"], golden["simcc_y"])
    assert np.abs(points - golden["truth_crop_px"]).max() <= 1e-3
    points, score = decode.simcc(golden["simcc_x"], golden["simcc_y"], peak="argmax")
    assert np.array_equal(2 * points, golden["rtmlib_simcc_locs"]) and np.allclose(score, golden["rtmlib_simcc_vals"])
    points, _ = decode.heatmaps(golden["heatmaps"], "argmax")
    assert np.array_equal(points, golden["heat_argmax"])
    for blur in (0, 11):
        points, _ = decode.heatmaps(golden["heatmaps"], blur=blur)
        assert np.abs(points - golden["heat_truth"]).max() <= 2e-3


@pytest.mark.parametrize(("model", "limit"), [("dot_simcc", 0.2), ("dot_heatmap", 0.2)])
def test_dots_to_a_fifth_of_a_pixel(pose, model, limit):
    if len(engines()) < 2:
        pytest.skip("OpenCV alone does not run these networks")
    truth = np.load(pose / "dot_truth.npy")
    estimator = estimator_of(load_model(str(pose / f"{model}.onnx")), "onnxruntime")
    joints = estimator.infer((f for _, f in Video(str(pose / "dot_ffv1.avi")).frames()), [BOX] * 20)
    assert joints.shape == (20, 17, 3)
    assert rms(joints, truth) <= limit
    assert np.abs(joints[..., :2] - truth).max() <= 0.7


def test_dots_as_rtmlib_rounds_them(pose):
    if len(engines()) < 2:
        pytest.skip("OpenCV alone does not run this network")
    golden = np.array(json.loads((pose / "dot_rtmlib.json").read_text())["simcc"])
    estimator = estimator_of(load_model(str(pose / "dot_simcc.onnx")), "onnxruntime", peak="argmax")
    joints = estimator.infer((f for _, f in Video(str(pose / "dot_ffv1.avi")).frames()), [BOX] * 20)
    assert np.abs(joints - golden).max() <= tolerance(1e-3, 3)  # a bin is 2.8 px


@pytest.mark.parametrize("model", ["tiny_simcc", "dots"])
def test_engines_agree(pose, model):
    if len(engines()) < 2:
        pytest.skip("onnxruntime is not installed")
    spec = load_model(str(pose / f"{model}.onnx") if model != "dots" else model)
    frames = [cv2.imread(str(pose / f"dot_frame{i}.png")) for i in range(5)]
    boxes = [BOX] * 5
    one, other = (estimator_of(spec, engine).infer(frames, boxes) for engine in engines())
    assert np.abs(one - other).max() <= 1e-3


def test_opencv_refuses_what_it_would_run_wrongly(pose):
    try:
        joints = estimator_of(load_model(str(pose / "dot_simcc.onnx")), "opencv").infer(
            [cv2.imread(str(pose / "dot_frame0.png"))], [BOX]
        )
    except DataError as error:
        assert "install onnxruntime" in str(error)
    else:
        assert rms(joints[0], np.load(pose / "dot_truth.npy")[0]) <= 0.5


def test_box_to_region(pose):
    areas = [geometry.region(BOX, (192, 256))]
    assert np.allclose(areas[0], (240 - 534.375 / 2, 305 - 356.25, 534.375, 712.5))
