"""The camera's movement in a clip's frames: found, undone, and not mistaken for somebody's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli.rgb.camera import movements, steadied
from mma82cli.training.rgb import batches
from mma82cli.training.rgb.recipe import GcTsmRecipe
from mma82cli.video import Clip


def scenery(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture (height, width, 3) of soft spots, uint8."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), height / 50), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def filmed(picture: np.ndarray, cameras: np.ndarray) -> np.ndarray:
    """What cameras (T, 2, 3), from a pixel of the clip to one of the picture, see of it; half as wide and high."""
    size = (picture.shape[1] // 2, picture.shape[0] // 2)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.stack([cv2.warpAffine(picture, camera, size, flags=flags) for camera in cameras])


def held(seed: int, size: int, frames: int = 8) -> np.ndarray:
    """Cameras (T, 2, 3) held by hand before the middle of a picture of 2 x `size`: 3 % of shift, 2 % of growth, 2 degrees."""
    rng = np.random.default_rng(seed)
    shift, growth, turn = (rng.uniform(-each, each, (frames, n)) for each, n in ((0.03 * size, 2), (0.02, 1), (0.035, 1)))
    linear = (1 + growth)[..., None] * np.stack([np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn)], -1).reshape(-1, 2, 2)
    middle = np.full(2, size / 2)
    return np.dstack([linear, middle * 2 - linear @ middle + shift])


def corners(matrices: np.ndarray, size: int) -> np.ndarray:
    """Where (T, 4, 2) they put the corners of a square."""
    square = np.array([[x, y, 1] for x in (0, size) for y in (0, size)]).T
    return np.swapaxes(matrices @ square, 1, 2)


def whole(matrices: np.ndarray) -> np.ndarray:
    """(T, 2, 3) as (T, 3, 3)."""
    return np.concatenate([matrices, np.broadcast_to([[0.0, 0.0, 1.0]], (len(matrices), 1, 3))], 1)


@pytest.mark.parametrize("size", [48, 144, 256])
@pytest.mark.parametrize("seed", range(3))
def test_a_hand_held_camera_is_found(seed, size):
    cameras = held(seed, size)
    found = movements(filmed(scenery(2 * size, 2 * size, seed), cameras))
    true = np.linalg.inv(whole(cameras)) @ whole(cameras)[4]  # from the middle frame to each
    off = np.linalg.norm(corners(found, size) - corners(true[:, :2], size), axis=-1)
    assert off.max() < 0.02 * 48 * max(1, size / 72)  # of a pixel of what is looked at, which has 72 of them at most
    assert np.array_equal(found[4], np.eye(2, 3))


def test_steadied_frames_are_those_of_a_camera_that_stands():
    cameras = held(5, 144)
    shaken = filmed(scenery(288, 288, 5), cameras)
    inside = np.s_[:, 12:-12, 12:-12]
    steady = steadied(shaken)
    assert steady.dtype == np.uint8 and steady.shape == shaken.shape
    before, after = (np.abs(frames[inside].astype(int) - frames[4][inside[1:]]).mean() for frames in (shaken, steady))
    assert before > 10 > 10 * after


def test_what_moves_by_itself_moves_on():
    frames = scenery(144, 144)[None].repeat(8, 0)
    for i, frame in enumerate(frames):  # an arm, a quarter of the picture
        frame[60:130, 20 + 4 * i : 70 + 4 * i] = scenery(70, 50, 1)
    assert np.array_equal(steadied(frames), frames)
    shifts = np.random.default_rng(2).integers(-3, 4, (8, 2))
    shaken = np.stack([np.roll(frame, shift, (0, 1)) for frame, shift in zip(frames, shifts, strict=True)])
    moved = np.abs(steadied(shaken)[:, 10:50, 10:-10].astype(int) - shaken[4, 10:50, 10:-10]).mean()
    assert moved < 1


def test_another_shot_and_empty_pictures_stay_as_they_are():
    plain = np.full((3, 40, 60, 3), 77, np.uint8)
    for frames in (plain, scenery(40, 60)[None], plain[:, :1, :1], scenery(3, 90)[None].repeat(2, 0)):
        assert np.array_equal(steadied(frames), frames)
    for shots in ([0, 0, 0, 0, 1, 1, 1, 1], range(8)):
        frames = np.stack([scenery(100, 140, shot) for shot in shots])
        assert np.array_equal(steadied(frames), frames)


@settings(max_examples=60)
@given(st.integers(1, 5), st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32 - 1), st.sampled_from([1, 60, 256]))
def test_any_frames_give_frames(count, height, width, seed, contrast):
    frames = np.random.default_rng(seed).integers(0, contrast, (count, height, width, 3), dtype=np.uint8)
    found = steadied(frames)
    assert found.shape == frames.shape and found.dtype == np.uint8
    assert np.isfinite(movements(frames)).all()
    assert np.array_equal(found[count // 2], frames[count // 2])


class HandHeld:
    """Clips of 8 frames, whose camera is held as its number says."""

    def count(self, clip):
        return 8

    def pick(self, clip, numbers):
        cameras = held(int(clip.path), 72)
        cameras[4] = held(0, 72)[4]
        return list(filmed(scenery(144, 144), cameras)[numbers])


def test_a_steady_recipe_sees_no_camera():
    sizes = {"short_side": 72, "size": 64, "test_size": 64, "flip": 0.0, "crop_scales": (1.0,)}

    def seen(steady: bool, camera: int) -> np.ndarray:
        recipe, clip = GcTsmRecipe(**sizes, steady=steady), Clip(str(camera), 0.0, 1.0)
        train = batches.train_clip(HandHeld(), clip, recipe, np.random.default_rng(0))
        return np.stack([train, *batches.test_clip(HandHeld(), clip, recipe, 1, 1)])[:, :, 8:-8, 8:-8].astype(int)

    assert np.abs(seen(True, 1) - seen(True, 2)).mean() < 2
    assert np.abs(seen(False, 1) - seen(False, 2)).mean() > 10
