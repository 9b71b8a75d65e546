"""The embedded data set: who does what where, annotators, and the network that finds the joints."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli import share
from mma82cli.records import WrongUsage
from mma82cli.synth import dataset, dots, make, markers, render, scene
from mma82cli.synth.annotators import NAMES, annotate
from mma82cli.synth.estimator import observe

KNOWN = dataset.facts()
EVERY = list(KNOWN.domains)


@pytest.fixture(scope="module")
def full():
    return dataset.plan(KNOWN, None, None, dataset.chosen_classes(KNOWN, None), EVERY, 0)


def test_the_full_plan_has_the_papers_counts(full):
    assert len(full) == 39816
    assert np.bincount(full.domain).tolist() == [27509, 7011, 3925, 1371]
    people = [len(np.unique(full.subject[full.domain == j])) for j in range(4)]
    assert people == [229, 19, 26, 180]
    np.testing.assert_array_equal(np.bincount(full.label, minlength=82), KNOWN.clips)
    assert KNOWN.instances.sum() == 39758


def test_rare_classes_are_performed_by_invited_subjects(full):
    rare = np.isin(full.label, np.flatnonzero(KNOWN.clips < dataset.RARE))
    assert (full.domain[rare] == 0).all()
    assert len(np.unique(full.subject[rare])) <= 0.09 * 229


@settings(max_examples=40)
@given(st.integers(1, 900), st.integers(1, 82), st.integers(1, 60), st.integers(1, 4), st.integers(0, 9))
def test_any_plan_is_whole(clips, classes, subjects, domains, seed):
    ids = dataset.chosen_classes(KNOWN, classes)
    plan = dataset.plan(KNOWN, clips, subjects, ids, EVERY[:domains], seed)
    assert len(plan) == clips and set(plan.label) <= set(ids)
    assert len(plan.subjects) <= min(subjects, clips) and set(plan.subject) == set(range(len(plan.subjects)))
    homes = defaultdict(set)
    for who, where in zip(plan.subject, plan.domain, strict=True):
        homes[who].add(where)
    assert all(len(home) == 1 for home in homes.values())
    assert (np.diff(plan.subject) >= 0).all()


def test_a_small_plan_lifts_what_is_rare():
    plan = dataset.plan(KNOWN, 600, None, dataset.chosen_classes(KNOWN, 16), EVERY, 0)
    assert np.bincount(plan.label, minlength=82)[np.unique(plan.label)].min() >= 0.5 * 600 / 16 - 1
    assert np.bincount(plan.domain).min() >= 0.5 * 600 / 4 - 1


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=30))
def test_lifted_shares_keep_a_floor(weights):
    weights = np.array(weights)
    shares = dataset.lifted(weights)
    assert shares.sum() == pytest.approx(1) and shares.min() >= dataset.FLOOR / len(weights) - 1e-12
    assert (np.diff(shares[np.argsort(weights, kind="stable")]) >= -1e-12).all()


def test_chosen_classes_are_frequent_and_told_by_joints():
    names = [KNOWN.labels[i] for i in dataset.chosen_classes(KNOWN, 16)]
    assert {"Nodding", "Illustrative gestures", "Touching nose"} <= set(names)
    assert not {"Pointing", "Other finger interaction movements"} & set(names)
    for bad in (0, 83):
        with pytest.raises(WrongUsage, match="expected 1 to 82"):
            dataset.chosen_classes(KNOWN, bad)


@given(st.integers(0, 500), st.lists(st.floats(0.01, 100), min_size=1, max_size=20))
def test_parts_are_whole_and_near(total, weights):
    weights = np.array(weights)
    out = dataset.parts(total, weights)
    assert out.sum() == total and (np.abs(out - total * weights / weights.sum()) < 1).all()


def test_detection_has_as_many_videos_as_asked_for():
    plan = dataset.plan(KNOWN, 70, None, dataset.chosen_classes(KNOWN, None), EVERY, 0, videos=20)
    jobs = make.jobs("detection", plan, KNOWN, 0, 20)
    assert len(jobs) == 20 and sum(len(job.labels) for job in jobs) == 70


def test_annotators_err_as_people_do():
    labels = ["Nodding", "Waving", "Shaking legs", "Touching nose", "Shrugging"]
    lines, truth = [], []
    for index in range(60):
        made = scene.source(0, index, labels, [False] * 5, "laboratory", "lab000")
        here = annotate(made.deeds, made.duration, lambda label: ["Turning head"], made.rng)
        assert all(0 <= a["start"] < a["end"] <= made.duration for a in here)
        assert len({a["annotator"] for a in here}) == len(NAMES)
        assert all(any(a["start"] < d.end and d.start < a["end"] for a in here) for d in made.deeds)
        lines += here
        truth += made.deeds
    assert 0.92 < len(lines) / (3 * len(truth)) < 0.99
    assert 0.01 < np.mean([a["label"] == "Turning head" for a in lines]) < 0.05


def test_an_estimator_is_close_where_it_sees_and_says_where_it_does_not():
    near, far = [], []
    for index in range(12):
        made = scene.clip(0, index, "Waving", False, "psychiatric", f"psy{index:03d}")
        pixels, _ = made.view.project(made.skeleton.joints)
        joints, found = observe(made.skeleton, made.view, made.rng)
        assert np.isfinite(joints).all() and joints[..., 2].min() > 0 and joints[..., 2].max() < 1 and found.mean() > 0.9
        gap = np.linalg.norm(joints[..., :2] - pixels, axis=-1)
        near.append(gap[joints[..., 2] > 0.75])
        far.append(gap[joints[..., 2] < 0.2])
    assert np.median(np.concatenate(near)) < 1.5 < np.median(np.concatenate(far))


# -- the dots network


def test_the_side_car_knows_its_network():
    folder = share.share_dir() / "models"
    data = (folder / "dots.onnx").read_bytes()
    assert len(data) < 200_000
    assert hashlib.sha256(data).hexdigest() in (folder / "dots.toml").read_text()


def test_the_network_is_what_its_script_makes():
    pytest.importorskip("onnx")
    assert dots.network().SerializeToString(deterministic=True) == (share.share_dir() / "models" / "dots.onnx").read_bytes()


def peak(simcc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (V,) in pixels and heights (V,) of the peaks of (V, bins), by a parabola through logarithms."""
    i = np.clip(simcc.argmax(1), 2, simcc.shape[1] - 3)
    a, b, c = (np.log(np.maximum(simcc[np.arange(17), i + d], 1e-9)) for d in (-2, 0, 2))
    return (i + np.clip((a - c) / (a - 2 * b + c - 1e-12), -2, 2)) / dots.SPLIT, simcc.max(1)


def find(net, image: np.ndarray) -> np.ndarray:
    """Joints (17, 3) that the network finds in a BGR frame no larger than its input."""
    left, top = (dots.WIDTH - image.shape[1]) // 2, (dots.HEIGHT - image.shape[0]) // 2
    canvas = np.zeros((dots.HEIGHT, dots.WIDTH, 3), np.float32)
    canvas[top : top + image.shape[0], left : left + image.shape[1]] = image[..., ::-1] / 255
    net.setInput(np.ascontiguousarray(canvas.transpose(2, 0, 1)[None]))
    (x, sx), (y, sy) = (peak(out[0]) for out in net.forward(["simcc_x", "simcc_y"]))
    return np.stack([x - left, y - top, (sx + sy) / 2], 1)


@pytest.mark.parametrize("domain", EVERY)
def test_joints_are_found_to_half_a_pixel_in_compressed_video(domain, tmp_path):
    net = cv2.dnn.readNetFromONNX(str(share.share_dir() / "models" / "dots.onnx"))
    suffix, letters = render.codec()
    gaps, hidden = [], []
    for index, label in enumerate(("Turning head", "Covering eyes", "Crossing legs")):
        made = scene.clip(2, index, label, label == "Crossing legs", domain, f"{domain[:3]}{index:03d}")
        path = tmp_path / f"clip{index}{suffix}"
        render.write_video(made, path, letters)
        figure, video = render.Figure(made), cv2.VideoCapture(str(path))
        for i in range(len(made.t)):
            image = video.read()[1]
            if i % 6 == 0:
                joints = find(net, image)
                gap = np.linalg.norm(joints[:, :2] - figure.joints[i], axis=1)
                gaps += gap[figure.marked[i]].tolist()
                assert joints[figure.marked[i], 2].min() > 0.5
                hidden += joints[~figure.marked[i], 2].tolist()
    assert np.sqrt(np.mean(np.square(gaps))) < 0.5
    assert max(hidden, default=0) < 0.3


@pytest.mark.parametrize("domain", EVERY)
def test_nothing_but_markers_looks_like_one(domain, monkeypatch):
    monkeypatch.setattr(render.Figure, "mark", lambda self, image, i: None)
    for index in range(8):
        made = scene.clip(3, index, "Nodding", bool(index % 2), domain, f"{domain[:3]}{index:03d}")
        image = next(render.frames(made))[..., ::-1].astype(np.float32)
        gap = np.linalg.norm(image[:, :, None] - markers.colours().astype(np.float32), axis=-1)
        assert (gap < markers.REACH).sum() < 6
