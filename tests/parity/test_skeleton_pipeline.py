"""Sampling, augmentation and heatmaps against the peers' own figures."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
import torch

from mma82cli.skeleton import geometry, heatmaps, limb_heatmaps, sampling
from mma82cli.skeleton.layouts import load_layout

MIRRORED = load_layout("coco17").mirrored()


@pytest.fixture(scope="module")
def peer(shared):
    return np.load(shared / "goldens" / "skeleton" / "pipeline.npz")


def clip(peer, prefix="", inds="val_inds"):
    """The clip's joints and scores at the sampled frames, (1, M, T, V, 3), and its picture's shape."""
    points = np.concatenate([peer[prefix + "kp"], peer[prefix + "score"][..., None]], -1)[None]
    return torch.from_numpy(points[:, :, peer[inds]]), torch.tensor([[480, 640]])


def resized(peer):
    return geometry.resize(*geometry.compact(*clip(peer)), (64, 64))


def frames_first(maps):
    return maps[0].transpose(0, 1).numpy()


def off(ours, theirs):
    return np.abs(np.asarray(ours, np.float64) - theirs).max()


def test_frames_sampled_are_the_peers(peer):
    names = [name for name in peer.files if name.startswith("inds_")]
    assert len(names) > 25
    for name in names:
        frames, clips = int(re.search(r"_n(\d+)", name)[1]), re.search(r"_clips(\d+)", name)
        if clips:
            which = "pyskl" if "pyskl" in name else "mmaction2"
            ours = sampling.test_indices(frames, 32, int(clips[1]), which).ravel()
        else:
            ours = sampling.one_clip(frames, 32, np.random.RandomState(0))
        np.testing.assert_array_equal(ours, peer[name], err_msg=name)


def test_peers_differ_in_what_they_sample(peer):
    assert (sampling.test_indices(100, 32, 1, "mmaction2") != sampling.test_indices(100, 32, 1, "pyskl")).any()


def test_geometry_of_validation_is_exact(peer):
    points, shapes = geometry.compact(*clip(peer))
    np.testing.assert_array_equal(points[0, ..., :2], peer["val_compact_kp"])
    np.testing.assert_array_equal(shapes[0], peer["val_compact_img_shape"])
    points, shapes = geometry.resize(points, shapes, (64, 64))
    np.testing.assert_array_equal(points[0, ..., :2], peer["val_resized_kp"])
    flipped = geometry.flip(points, shapes, MIRRORED, torch.tensor([True]))
    np.testing.assert_array_equal(flipped[0, ..., :2], peer["flip_kp"])
    np.testing.assert_array_equal(flipped[0, ..., 2], peer["flip_score"])


def test_random_resized_crop_is_exact_with_the_same_draws(peer):
    points, shapes = resized(peer)
    python = random.Random(1)
    aspects, areas, places = map(torch.from_numpy, geometry.draw_crops(1, np.random.RandomState(1)))
    room = shapes.flip(1) - geometry.crop_boxes(shapes, aspects, areas, places * 0)[:, 2:]
    offset = torch.tensor([[python.randint(0, int(side)) for side in room[0]]])  # as the peers draw it
    boxes = geometry.crop_boxes(shapes, aspects, areas, (offset + 0.5) / (room + 1))
    np.testing.assert_array_equal(boxes[0], peer["rrc_bbox"])
    points, shapes = geometry.crop(points.double(), boxes)
    np.testing.assert_array_equal(points[0, ..., :2], peer["rrc_kp"])
    np.testing.assert_array_equal(shapes[0], peer["rrc_img_shape"])
    points, _ = geometry.resize(points, shapes, (56, 56))
    np.testing.assert_array_equal(points[0, ..., :2], peer["rrc_resized_kp"])
    assert off(frames_first(heatmaps(points, (56, 56)))[:4], peer["rrc_heatmap_f0_3"]) <= 3e-7


def test_heatmaps(peer):
    maps = heatmaps(resized(peer)[0], (64, 64))
    assert off(frames_first(maps), peer["val_heatmap"]) <= 3e-7
    flipped = maps.flip(4)[:, MIRRORED]
    assert off(flipped[0, :, 5], peer["double_flip_heatmap_frame5"]) <= 3e-7


def test_heatmaps_of_two_persons(peer):
    points, shapes = geometry.compact(*clip(peer, "m2_", "m2_inds"))
    points, _ = geometry.resize(points, shapes, (64, 64))
    np.testing.assert_array_equal(points[0, ..., :2], peer["m2_resized_kp"])
    assert off(frames_first(heatmaps(points, (64, 64))), peer["m2_heatmap"]) <= 3e-7


def test_limb_heatmaps(peer):
    maps = limb_heatmaps(resized(peer)[0], load_layout("coco17").limbs, (64, 64))
    assert off(frames_first(maps)[:8], peer["limb_heatmap_frames0_7"]) <= 3e-7
