"""Frames by their time stamps: any order of clips gives the frames of a plain decode."""

from __future__ import annotations

import random

import cv2
import numpy as np
import pytest

from mma82cli.records import DataError
from mma82cli.video import Reader, Video

FPS, COUNT = 10, 300


@pytest.fixture(scope="module", params=["mp4v.mp4", "MJPG.avi"])
def film(request, tmp_path_factory):
    """A video of 30 s whose frames differ, and its frames as a plain loop reads them."""
    codec, suffix = request.param.split(".")
    path = str(tmp_path_factory.mktemp("film") / f"film.{suffix}")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*codec), FPS, (64, 48))
    rng = np.random.default_rng(0)
    base = rng.integers(0, 255, (48, 64, 3), np.uint8)
    for i in range(COUNT):
        writer.write(np.roll(base, (i % 48, 3 * i % 64), (0, 1)))
    writer.release()
    plain, capture = [], cv2.VideoCapture(path)
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        plain.append(frame)
    assert len(plain) == COUNT
    return path, plain


def check(video, plain, start, end):
    wanted = [i for i in range(COUNT) if start <= round(i / FPS, 6) and (end is None or round(i / FPS, 6) < end)]
    got = list(video.frames(start, end))
    assert [round(t * FPS) for t, _ in got] == wanted
    assert all(np.array_equal(frame, plain[i]) for i, (_, frame) in zip(wanted, got, strict=True))


def test_clips_in_any_order_are_the_frames_of_a_plain_decode(film):
    path, plain = film
    video = Video(path)
    assert (video.fps, video.width, video.height, video.expected, video.duration) == (FPS, 64, 48, COUNT, COUNT / FPS)
    check(video, plain, 0.0, None)
    chance = random.Random(0)
    spans = [(0, 0.4), (0.4, 1.0), (0.9, 2.0), (0.25, 0.35), (15, 15.5), (15.5, 16), (29.8, None), (3, 3.1)]
    spans += [(s := round(chance.uniform(0, 29), 3), round(s + chance.uniform(0.05, 1.5), 3)) for _ in range(12)]
    for start, end in spans:
        check(video, plain, start, end)


def test_a_clip_left_early_does_not_disturb_the_next(film):
    path, plain = film
    video = Reader().open(path)
    for _ in video.frames(1.0, 5.0):
        break
    check(video, plain, 1.0, 1.5)
    check(video, plain, 1.5, 1.8)


def test_behind_the_end_there_is_nothing_and_then_all_is_well(film):
    path, plain = film
    video = Video(path)
    assert list(video.frames(31, 32)) == [] and video.ended
    check(video, plain, 28, 29.9)
    assert not video.ended


def test_reader_keeps_the_last_video_open(film, tmp_path):
    reader = Reader()
    assert reader.open(film[0]) is reader.open(film[0])
    for name, content in [("empty.mp4", b""), ("text.mp4", b"not a video\n" * 50)]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            reader.open(str(tmp_path / name))
    with pytest.raises(DataError, match="none.mp4: No such file"):
        reader.open(str(tmp_path / "none.mp4"))
    with pytest.raises(DataError, match="Is a directory"):
        reader.open(str(tmp_path))
    assert reader.open(film[0]).width == 64
