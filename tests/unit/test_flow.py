"""`--refine flow`: a known micro-movement under a trembling network, cuts, cloth without texture, joints out of sight."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mma82cli.pose import flow

COUNT, SIZE = 60, (240, 320)
TIMES = np.arange(COUNT) / 30
MOVE = 3.0 * np.stack([np.sin(2 * np.pi * np.arange(COUNT) / 20), np.cos(2 * np.pi * np.arange(COUNT) / 20)], -1)
SEEN = np.ones(COUNT, bool)


def textured(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


def moved(picture: np.ndarray, move) -> np.ndarray:
    matrix = np.array([[1.0, 0, move[0]], [0, 1.0, move[1]]])
    return cv2.warpAffine(picture, matrix, SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


@pytest.fixture
def joints():
    """True joints (T,17,2) that all move by MOVE, and what a network that trembles by 2 px makes of them (T,17,3)."""
    rng = np.random.default_rng(1)
    true = rng.uniform((60, 60), (180, 260), (17, 2)) + MOVE[:, None]
    found = np.concatenate([true + rng.normal(0, 2.0, true.shape), np.full((COUNT, 17, 1), 0.9)], -1)
    return true, found


def gain_and_residual(found, true):
    a, b = found[..., :2] - found[..., :2].mean(0), true - true.mean(0)
    return (a * b).sum((0, 2)) / (b * b).sum((0, 2)), np.sqrt(((a - b) ** 2).sum(2).mean(0))


def test_amplitude_is_kept_and_the_trembling_goes(joints):
    true, found = joints
    picture = textured()
    raw_gain, raw_residual = gain_and_residual(found, true)
    refined = flow.refine((moved(picture, m) for m in MOVE), found, SEEN, TIMES)
    gain, residual = gain_and_residual(refined, true)
    assert gain.min() >= 0.97 and gain.max() <= 1.03
    assert residual.max() < 0.9 and residual.max() < raw_residual.min() / 2.5
    assert np.array_equal(refined[..., 2], found[..., 2])
    assert np.abs((refined[..., :2] - found[..., :2]).mean(0)).max() < 1  # where a joint is, the network says


def test_a_limb_that_moves_alone_moves_alone(joints):
    _, found = joints
    picture = textured()
    wrist = np.array([120.0, 160.0])
    found[..., :2] = found[:, :, :2] * 0 + np.random.default_rng(2).normal(0, 1.5, (COUNT, 17, 2)) + (60, 60)
    found[:, 9, :2] += wrist - (60, 60)
    y, x = np.mgrid[: SIZE[1], : SIZE[0]].astype(np.float32)
    share = np.exp(-((x - wrist[0]) ** 2 + (y - wrist[1]) ** 2) / (2 * 30**2)).astype(np.float32)
    frames = (cv2.remap(picture, x - share * m[0], y - share * m[1], cv2.INTER_CUBIC) for m in MOVE.astype(np.float32))
    refined = flow.refine(frames, found, SEEN, TIMES)
    gain, residual = gain_and_residual(refined[:, 9:10], MOVE[:, None])
    assert 0.93 <= gain[0] <= 1.03 and residual[0] < 0.9
    assert refined[:, 3, :2].std(0).max() < 0.5


def test_without_texture_the_network_s_joints_count(joints):
    true, found = joints
    flat = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
    refined = flow.refine((flat for _ in range(COUNT)), found, SEEN, TIMES)
    assert np.abs(refined[..., :2] - found[..., :2]).max() < 1e-6
    rng = np.random.default_rng(0)
    grain = (np.clip(flat + rng.normal(0, 3, flat.shape), 0, 255).astype(np.uint8) for _ in range(COUNT))
    gain, _ = gain_and_residual(flow.refine(grain, found, SEEN, TIMES), true)
    assert np.median(gain) > 0.9


def test_a_joint_that_is_hardly_seen_is_the_network_s(joints):
    true, found = joints
    found[:, 4, 2] = 0.1
    still = textured()  # what stands in front does not move
    refined = flow.refine((still for _ in range(COUNT)), found, SEEN, TIMES)
    gain, _ = gain_and_residual(refined, true)
    assert gain[4] > 0.9 and np.abs(np.delete(gain, 4)).max() < 0.2


def test_nothing_is_carried_over_a_cut(joints):
    _, found = joints
    found[30:, :, :2] += (25, -20)  # another shot, another place
    shots = [moved(textured(0), m) for m in MOVE[:30]] + [moved(255 - textured(7), m) for m in MOVE[30:]]
    refined = flow.refine(iter(shots), found, SEEN, TIMES)
    step = refined[30, :, :2].mean(0) - refined[29, :, :2].mean(0) - (MOVE[30] - MOVE[29])
    assert np.allclose(step, (25, -20), atol=1.5)
    for part in (slice(0, 30), slice(30, 60)):
        assert np.abs((refined[part, :, :2] - found[part, :, :2]).mean((0, 1))).max() < 0.5


def test_flow_that_stays_behind_is_given_up(joints):
    _, found = joints
    found[:, 6, :2] += np.linspace(0, 150, COUNT)[:, None] * (0.5, 0.5)  # a hand crosses; the wall behind it stands
    still = textured()
    refined = flow.refine((still for _ in range(COUNT)), found, SEEN, TIMES)
    assert np.abs(refined[:, 6, :2] - found[:, 6, :2]).max() < 0.2 * 260


def test_unseen_frames_are_left_and_divide(joints):
    _, found = joints
    seen = SEEN.copy()
    seen[[0, 20, 21, 22, 59]] = False
    found[~seen] = 0
    refined = flow.refine((moved(textured(), m) for m in MOVE), found, seen, TIMES)
    assert np.array_equal(refined[~seen], found[~seen]) and np.isfinite(refined).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_frames(joints, count):
    _, found = joints
    frames = [textured()] * count
    for seen in (np.ones(count, bool), np.zeros(count, bool)):
        refined = flow.refine(iter(frames), found[:count], seen, TIMES[:count])
        assert refined.shape == (count, 17, 3) and np.isfinite(refined).all()


def test_joints_outside_the_picture_do_no_harm(joints):
    _, found = joints
    found[:, 0, :2] += (-500, 900)
    refined = flow.refine((moved(textured(), m) for m in MOVE), found, SEEN, TIMES)
    assert np.isfinite(refined).all() and np.abs(refined[:, 0, :2] - found[:, 0, :2]).max() < 1e-6
