"""Who a clip is about: detectors and one-stage networks, tracklets, the steady box, following live."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from conftest import tolerance
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_onnx import write_constant

from mma82cli.pose import geometry
from mma82cli.pose.builder import build_estimator, settings_for
from mma82cli.pose.extract import joints_of
from mma82cli.pose.model import load_model
from mma82cli.pose.people import People, distinct, overlap
from mma82cli.pose.tracking import Follower, SteadyBox, main_person
from mma82cli.records import DataError, WrongUsage
from mma82cli.skeleton.layouts import load_layout

SIZE = (640, 480)
few = settings(max_examples=40)


def at(x: float, y: float, w: float = 100, h: float = 300, score: float = 0.9):
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2, score]


def people(*rows) -> People:
    rows = np.array(rows, float).reshape(-1, 5)
    return People(rows[:, :4], rows[:, 4])


def follow(found):
    return main_person(found, np.arange(len(found)) / 10, *SIZE)


def test_the_large_and_central_one_is_followed_whatever_their_order():
    found = []
    for t in range(20):
        rows = [at(320 + t, 240), at(60, 240, 60, 180, 0.95)]
        found.append(people(*(rows if t % 2 else rows[::-1])))
    chosen, warnings = follow(found)
    assert chosen.tolist() == [1, 0] * 10 and warnings == []


def test_two_who_cross_are_kept_apart_and_the_central_one_wins():
    found = [people(at(100 + 22 * t, 240, 60), at(340, 250, 120, 320)) for t in range(21)]
    assert follow(found)[0].tolist() == [1] * 21


def test_a_short_gap_is_one_tracklet_and_a_long_one_is_nobody():
    there = [people(at(320, 240))]
    chosen, warnings = follow(there * 10 + [people()] * 4 + there * 5)
    assert chosen.tolist() == [0] * 10 + [-1] * 4 + [0] * 5 and warnings == []
    chosen, warnings = follow(there * 10 + [people()] * 8 + there * 5)
    assert chosen.tolist() == [0] * 10 + [-1] * 8 + [0] * 5 and warnings == ["the person followed changes at 1.80 s"]


def test_a_bystander_is_not_followed_where_the_main_person_is_gone():
    found = [people(at(320, 240), at(600, 300, 40, 90))] * 10 + [people(at(600, 300, 40, 90))] * 10
    assert follow(found)[0].tolist() == [0] * 10 + [-1] * 10


def test_joints_link_where_boxes_do_not():
    joints = np.random.default_rng(0).uniform(100, 300, (17, 3))
    one = [People(np.array([[100, 100, 300, 300.0]]), np.array([0.9]), joints[None])]
    narrow = [People(np.array([[100, 100, 140, 300.0]]), np.array([0.9]), joints[None] + 2.0)]
    assert follow(one * 3 + narrow * 3)[0].tolist() == [0] * 6
    moved = [People(narrow[0].boxes, narrow[0].scores, joints[None] + 200)]
    assert follow(one * 3 + moved * 3)[0].tolist() == [0] * 3 + [-1] * 3


def test_nobody_at_all():
    chosen, warnings = follow([people()] * 5)
    assert chosen.tolist() == [-1] * 5 and warnings == []
    box = SteadyBox(np.full((5, 4), np.nan), np.arange(5) / 10)
    assert box.at(0.2) is None


def test_a_trembling_box_is_steady_and_a_walking_one_is_followed():
    rng = np.random.default_rng(0)
    times = np.arange(40) / 10
    walk = np.stack([100 + 40 * times, 100 + 0 * times, 200 + 40 * times, 400 + 0 * times], 1)
    box = SteadyBox(walk + rng.normal(0, 6, walk.shape), times)
    wanted = np.arange(0, 3.9, 1 / 30)
    found = np.array([box.at(t) for t in wanted])
    truth = np.stack([100 + 40 * wanted, 100 + 0 * wanted, 200 + 40 * wanted, 400 + 0 * wanted], 1)
    assert np.abs(found - truth)[10:-10].max() < 6 and np.diff(found - truth, axis=0).std() < 0.5
    still = SteadyBox(walk, times)
    assert np.allclose([still.at(t) for t in wanted], truth, atol=1e-6)
    assert still.at(4.5) is None and still.at(-1) is None


def test_the_steady_box_ends_where_the_person_was_not_seen_for_long():
    boxes = np.tile(np.array([0, 0, 10, 20.0]), (20, 1))
    boxes[5:15] = np.nan
    box = SteadyBox(boxes, np.arange(20) / 10)
    assert box.at(0.3) and box.at(1.7) and box.at(1.0) is None


def test_live_the_first_choice_is_kept_until_it_is_lost():
    follower = Follower()
    assert follower.follow(people(at(320, 240), at(100, 240)), 0.0, *SIZE) == 0
    assert follower.follow(people(at(100, 240, 200, 400), at(325, 240)), 0.1, *SIZE) == 1
    assert follower.follow(people(at(100, 240, 200, 400)), 0.2, *SIZE) == -1 and follower.box
    assert follower.follow(people(at(100, 240, 200, 400)), 0.9, *SIZE) == 0
    assert follower.follow(people(), 2.0, *SIZE) == -1 and follower.box is None


@few
@given(st.lists(st.tuples(st.floats(0, 500), st.floats(0, 400), st.floats(20, 200), st.floats(0, 1)), max_size=12))
def test_no_two_of_the_distinct_overlap_and_the_best_stays(rows):
    crowd = people(*(at(x, y, w, 2 * w, s) for x, y, w, s in rows))
    kept = distinct(crowd, 0.45)
    for i in range(len(kept)):
        others = np.delete(kept.boxes, i, 0)
        assert not len(others) or overlap(kept.boxes[i], others).max() <= 0.45 + 1e-12
    assert len(kept) == 0 or kept.scores[0] == crowd.scores.max()
    assert (np.diff(kept.scores) <= 0).all()


# -- networks --------------------------------------------------------------------------------------------------

FRAME = np.zeros((320, 640, 3), np.uint8)
BOXES = np.array([[[100, 100, 200, 300, 0.9], [104, 100, 204, 300, 0.8], [0, 0, 50, 60, 0.4], [0, 0, 9, 9, 0.1]]])


def onnx(model):
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    return settings_for("onnx", str(model), None, None, lambda _: None,
                        layout="coco17", device="cpu", peak="subpixel", refine="none")  # fmt: skip


def test_rtmo_is_known_by_its_outputs(tmp_path):
    joints = np.zeros((1, 4, 17, 3))
    joints[0, :, :, 0] = np.arange(4)[:, None] * 100 + np.arange(17)
    joints[..., 2] = 0.7
    path = write_constant(tmp_path / "rtmo.onnx", (640, 640), dets=BOXES, keypoints=joints)
    estimator = build_estimator(onnx(path))
    found = estimator.people(np.zeros((960, 1280, 3), np.uint8))  # twice the input's width
    assert found.boxes.tolist() == [[200, 200, 400, 600], [0, 0, 100, 120]] and np.allclose(found.scores, [0.9, 0.4])
    assert np.allclose(found.joints[0, :, 0], 2 * np.arange(17)) and estimator.layout == "coco17"
    both = estimator.infer([FRAME] * 2, [(0, 0, 60, 60), (100, 100, 200, 300)])
    assert both.shape == (2, 17, 3) and both[0, 0, 0] == 200 and both[1, 0, 0] == 0
    assert np.isnan(estimator.infer([FRAME], [(500, 300, 600, 310)])).all()
    assert estimator.model.channel_order == "bgr" and estimator.model.std == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("graph", ["suppressed", "grids"])
def test_yolox_with_and_without_suppression_in_its_graph(tmp_path, graph):
    from mma82cli.pose.engines import open_engine
    from mma82cli.pose.onestage import PersonDetector

    if graph == "suppressed":
        outputs = {"dets": BOXES, "labels": np.array([[0, 0, 7, 0]])}
        expected = [[100 / 0.65, 100 / 0.65, 200 / 0.65, 300 / 0.65]]
    else:
        raw = np.zeros((1, 52 * 52 + 26 * 26 + 13 * 13, 85))
        raw[0, 52 * 3 + 5, :6] = [0.5, 0.25, np.log(8), np.log(16), 0.9, 0.95]
        outputs = {"output": raw}
        expected = [[12 / 0.65, -38 / 0.65, 76 / 0.65, 90 / 0.65]]
    onnx("dots")
    model = load_model(str(write_constant(tmp_path / "yolox.onnx", (416, 416), **outputs)))
    found = PersonDetector(model, open_engine(model)).people(FRAME)
    assert np.allclose(found.boxes, expected, atol=1e-3)
    assert np.allclose(found.scores, 0.9 if graph == "suppressed" else 0.855)


def test_a_network_of_another_kind_is_refused(tmp_path):
    from mma82cli.pose.engines import open_engine
    from mma82cli.pose.onestage import PersonDetector

    settings = onnx("dots")
    with pytest.raises(DataError, match="not a network that finds boxes"):
        PersonDetector(settings.model, open_engine(settings.model))
    odd = write_constant(tmp_path / "odd.onnx", (64, 64), logits=np.zeros((1, 10)))
    with pytest.raises(DataError, match="outputs logits of 2 axes; expected simcc_x"):
        build_estimator(onnx(odd))


def test_whole_body_networks_and_their_layouts(tmp_path):
    x, y = np.zeros((1, 133, 384)), np.zeros((1, 133, 512))
    x[0, np.arange(133), np.arange(133) + 20] = y[0, np.arange(133), np.arange(133) + 40] = 1
    estimator = build_estimator(onnx(write_constant(tmp_path / "w.onnx", (192, 256), simcc_x=x, simcc_y=y)))
    assert estimator.layout == "coco133"
    assert estimator.infer([FRAME]).shape == (1, 133, 3)
    assert joints_of("coco17", "coco133") == list(range(17)) and joints_of("coco133", "coco133") == list(range(133))
    with pytest.raises(WrongUsage, match="finds the joints of coco17; --layout coco133 asks for left_big_toe"):
        joints_of("coco133", "coco17")
    layout = load_layout("coco133")
    assert [layout.joints[i] for i in (17, 23, 91, 95, 112, 132)] == [
        "left_big_toe", "face_0", "left_hand_root", "left_thumb_4", "right_hand_root", "right_little_4",
    ]  # fmt: skip
    named = {a.replace("left", "right"): b for a, b in ((layout.joints[i], layout.joints[j]) for i, j in layout.pairs)}
    assert all(a == b for a, b in named.items() if not a.startswith("face")) and len(layout.pairs) == 61
    assert layout.mirrored_limbs() != list(range(len(layout.limbs)))
    assert all(layout.mirrored_limbs()[k] == i for i, k in enumerate(layout.mirrored_limbs()))


# -- backends that are extras ----------------------------------------------------------------------------------


def test_movenet_finds_its_person_again_where_it_was(shared):
    pytest.importorskip("ai_edge_litert")
    from mma82cli.pose.tflite import TfliteEstimator
    from mma82cli.video import Video

    model = shared / "real" / "models" / "movenet_single_pose_lightning_ptq.tflite"
    estimator = TfliteEstimator(load_model(str(model), ".tflite"))
    frames = [f for _, f in Video(str(shared / "real" / "video" / "asl" / "milk.mkv")).frames(0, 0.6)]
    joints = estimator.infer(frames)
    assert joints.shape == (len(frames), 17, 3) and (joints[:, 5:7, 2] > 0.4).all()
    assert np.array_equal(joints, estimator.infer(frames))
    boxed = estimator.infer(frames, [(150, 40, 520, 480)] * len(frames))
    assert np.abs(boxed[1:, 5:7, :2] - joints[1:, 5:7, :2]).max() < 40


def test_vitpose_as_transformers_decodes_it(tmp_path, monkeypatch):
    transformers = pytest.importorskip("transformers")
    import torch

    from mma82cli.pose.vitpose import VitPoseEstimator

    torch.manual_seed(0)
    backbone = transformers.VitPoseBackboneConfig(
        image_size=[256, 192], hidden_size=32, num_hidden_layers=2, num_attention_heads=2, out_indices=[2]
    )
    config = transformers.VitPoseConfig(backbone_config=backbone, num_labels=17)
    network = transformers.VitPoseForPoseEstimation(config).eval()
    network.save_pretrained(tmp_path / "vit")
    frame = np.random.default_rng(0).integers(0, 255, (432, 360, 3), np.uint8)
    boxes = [[100.0, 120.0, 80.0, 120.0], [140.0, 150.0, 120.0, 110.0]]
    corners = [(x, y, x + w, y + h) for x, y, w, h in boxes]
    estimator = VitPoseEstimator(str(tmp_path / "vit"))
    joints = estimator.infer([frame] * 2, corners)
    by_pillow = getattr(transformers, "VitPoseImageProcessorPil", None)  # once it had the plain name
    processor = (by_pillow or transformers.VitPoseImageProcessor)()
    inputs = processor([frame[..., ::-1]], boxes=[boxes], return_tensors="pt")
    with torch.no_grad():
        answer = network(**inputs)
    estimator._crop(0, frame, corners[0])
    assert np.abs(estimator._feed(range(1))[0] - inputs["pixel_values"][0].numpy()).max() <= tolerance(0.02, 0.1)
    scores = answer.heatmaps.flatten(2).max(2).values.numpy()
    assert np.abs(joints[..., 2] - scores).max() <= tolerance(2e-3, 2e-2)
    rough = VitPoseEstimator(str(tmp_path / "vit"), peak="argmax").infer([frame] * 2, corners)[..., :2]
    cell = np.stack([geometry.region(c, (192, 256))[2:] for c in corners])[:, None] / (47, 63)
    assert (np.abs(joints[..., :2] - rough) <= 1.001 * cell).all()  # transformers' own leave the picture on such maps
    ys, xs = np.mgrid[:64, :48]  # maps as a trained network makes them
    at = np.random.default_rng(1).uniform((8, 8), (39, 55), (2, 17, 2))
    maps = np.exp(-((xs - at[..., :1, None]) ** 2 + (ys - at[..., 1:, None]) ** 2) / 8).astype(np.float32)
    theirs = processor.post_process_pose_estimation(type(answer)(heatmaps=torch.from_numpy(maps)), boxes=[boxes])[0]
    monkeypatch.setattr(type(estimator._run), "__call__", lambda run, batch: [maps])
    areas = np.stack([geometry.region(c, (192, 256)) for c in corners])
    points, _ = estimator._look(1)
    ours = geometry.to_frame(points, areas, (192, 256), "udp")
    assert np.abs(ours - np.stack([person["keypoints"].numpy() for person in theirs])).max() <= 0.05
