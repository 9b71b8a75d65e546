"""`mma82 extract-skeleton` with detectors, one-stage and whole-body networks, refinement: whom it looks at."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from tiny_onnx import write_constant


def network(folder, name, size, **outputs):
    """A network with constant answers; the test is skipped where nothing runs it."""
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    return write_constant(folder / f"{name}.onnx", size, **outputs)


def test_a_detector_s_box_is_looked_at_and_a_record_s_own_goes_before(run, films, tmp_path):
    boxes = np.array([[[100, 60, 300, 260, 0.9], [0, 0, 20, 20, 0.5]]])  # of an input of 416, in which the film is 4.33 times
    detector = network(tmp_path, "people", (416, 416), dets=boxes, labels=np.zeros((1, 2)))
    x, y = np.zeros((1, 17, 384)), np.zeros((1, 17, 512))
    x[0, :, 192] = y[0, :, 256] = 1  # every joint in the middle of the box
    pose = network(tmp_path, "middle", (192, 256), simcc_x=x, simcc_y=y)
    records = [{"video": "a.mp4"}, {"video": "a.mp4", "box": [10, 10, 50, 30]}]
    done = run("extract-skeleton", "-q", "--root", films, "--model", pose, "--detector", detector, stdin=records)
    assert done.code == 0, done.err
    scale = 416 / 96
    for record, (left, top) in zip(done.records, [(200 / scale, 160 / scale), (30, 20)], strict=True):
        joints = np.array(record["keypoints"]).reshape(30, 17, 3)
        assert np.allclose(joints[..., 0], left, atol=0.1) and np.allclose(joints[..., 1], top, atol=0.1)
        assert "warnings" not in record
        assert [m.split("@")[0] for m in record["model"].split("+")] == ["middle", "people"]
    whole = run("extract-skeleton", "--root", films, "--model", pose, "--detector", "none", stdin=records)
    assert "whole frame" in whole.records[0]["warnings"][0] and "whole frame" in whole.err
    wrong = run("extract-skeleton", "--root", films, "--model", pose, "--detector", pose, stdin=records)
    assert wrong.code == 1 and "not a network that finds boxes" in wrong.err


def test_rtmo_follows_the_main_person_and_says_who_is_missing(run, films, tmp_path):
    boxes = np.array([[[0, 0, 40, 60, 0.9], [200, 100, 500, 400, 0.8]]])
    joints = np.full((1, 2, 17, 3), 0.9)
    joints[0, 1, :, :2] = 320, 213
    model = network(tmp_path, "rtmo", (640, 640), dets=boxes, keypoints=joints)
    record = run("extract-skeleton", "-q", "--root", films, "--model", model, stdin=[{"video": "a.mp4"}]).records[0]
    found = np.array(record["keypoints"]).reshape(30, 17, 3)
    assert np.allclose(found[..., :2], (48, 31.95), atol=0.02) and "warnings" not in record
    nobody = network(tmp_path, "nobody", (640, 640), dets=boxes * 0, keypoints=joints)
    record = run("extract-skeleton", "-q", "--root", films, "--model", nobody, stdin=[{"video": "a.mp4"}]).records[0]
    assert record["keypoints"] == [None] * 30 and record["warnings"] == ["no person found"]


def test_the_layout_picks_from_a_whole_body_network(run, films, tmp_path):
    x, y = np.zeros((1, 133, 384)), np.zeros((1, 133, 512))
    x[0, np.arange(133), np.arange(133)] = y[0, np.arange(133), 100] = 1
    model = network(tmp_path, "whole", (192, 256), simcc_x=x, simcc_y=y)
    base = ["extract-skeleton", "-q", "--root", films, "--model", model]
    clip = [{"video": "a.mp4", "start": 0, "end": 0.2, "box": [0, 0, 90, 60]}]
    body, whole = (run(*base, "--layout", layout, stdin=clip).records[0] for layout in ("coco17", "coco133"))
    assert len(body["keypoints"][0]) == 51 and len(whole["keypoints"][0]) == 399
    assert body["keypoints"][0] == whole["keypoints"][0][:51] and whole["layout"] == "coco133"
    assert run(*base, "--layout", "jhmdb15", stdin=clip).code == 2


def test_refined_joints_are_near_the_network_s_and_named(run, films):
    base = ["extract-skeleton", "-q", "--root", films, "--model", "dots"]
    clip = [{"video": "a.mp4", "start": 0, "end": 1}]
    raw, refined = run(*base, stdin=clip).records[0], run(*base, "--refine", "flow", stdin=clip).records[0]
    assert refined["model"] == raw["model"] + "+flow"
    assert [f is None for f in refined["keypoints"]] == [f is None for f in raw["keypoints"]]
    assert {k: v for k, v in raw.items() if k not in ("keypoints", "model")}.items() <= refined.items()


def test_mediapipe_finds_the_people_of_real_videos(run, shared):
    if importlib.util.find_spec("mediapipe") is None:
        pytest.skip("mediapipe is not installed")
    root = shared / "real" / "video"
    videos = ["asl/milk.mkv", "ma52/0019_02_0078.mp4", "asl/milk.mkv"]
    done = run("extract-skeleton", "--jobs", 1, "--root", root, stdin=[{"video": v} for v in videos])
    assert done.code == 0 and done.err == ""
    frames = [frame for r in done.records for frame in r["keypoints"]]
    assert sum(frame is not None for frame in frames) >= 0.95 * len(frames)
    assert done.records[0] == done.records[2]
    for record in done.records:
        joints = np.array(record["keypoints"]).reshape(-1, 17, 3)
        nose, shoulders = joints[:, 0], joints[:, 5:7]
        assert (nose[:, 1] < shoulders[..., 1].min(1)).all()
        assert (shoulders[:, 0, 0] > shoulders[:, 1, 0]).all()  # they face the camera: left is on the right
