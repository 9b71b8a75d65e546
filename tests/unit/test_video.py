"""Frames by their time stamps: any order of clips gives the frames of a plain decode."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from conftest import ROOT, write_film

from mma82cli.records import DataError
from mma82cli.training.recipe import load_recipe
from mma82cli.training.rgb.batches import train_clip
from mma82cli.video import Clip, Frames, Reader, Video
from mma82cli.video import cache as cache_module
from mma82cli.video.cache import Cache
from mma82cli.video.clips import shrink

FPS, COUNT = 10, 300


@pytest.fixture(scope="module", params=["mp4v.mp4", "MJPG.avi"])
def film(request, tmp_path_factory):
    """A video of 30 s whose frames differ, and its frames as a plain loop reads them."""
    codec, suffix = request.param.split(".")
    path = str(tmp_path_factory.mktemp("film") / f"film.{suffix}")
    base = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    write_film(path, (np.roll(base, (i % 48, 3 * i % 64), (0, 1)) for i in range(COUNT)), FPS, codec)
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


def test_frames_are_counted_and_picked_without_reading_all(film):
    path, plain = film
    video = Video(path)
    assert video.times() == [round(i / FPS, 6) for i in range(COUNT)]
    assert video.times(29.5) == [29.5, 29.6, 29.7, 29.8, 29.9] and video.times(40) == []
    for wanted, start, end in [([0, 7, 7, 31], 0.0, None), ([2, 3], 10.0, 12.0), ([0], 0.0, 0.1), ([5, 19], 10.0, 12.0)]:
        found = video.pick(wanted, start, end)
        assert len(found) == len(wanted)
        assert all(np.array_equal(frame, plain[round(start * FPS) + i]) for i, frame in zip(wanted, found, strict=True))
    assert len(video.pick([0, 19, 20], 10.0, 12.0)) == 2 and video.pick([0], 31.0) == []


def test_a_packet_reader_gives_the_same_frames(film):
    pytest.importorskip("av", reason="needs mma82[fast]")
    from mma82cli.video.packets import PacketVideo, Unsuited

    path, plain = film
    if path.endswith(".avi"):
        with pytest.raises(Unsuited):
            PacketVideo(path)
        return
    video = PacketVideo(path)
    check(video, plain, 0.0, None)
    check(video, plain, 12.3, 14.5)
    assert video.times() == Video(path).times()
    some = list(video.frames(2.0, 5.0, every=4, reuse=True))
    assert [t for t, _ in some] == [t for t, _ in Video(path).frames(2.0, 5.0, every=4)]
    assert np.array_equal(some[1][1], plain[24])
    assert all(np.array_equal(frame, plain[100 + i]) for i, frame in zip([0, 3, 9], video.pick([0, 3, 9], 10.0), strict=True))


def test_a_packet_reader_gives_what_opencv_gives_of_real_files(shared):
    pytest.importorskip("av", reason="needs mma82[fast]")
    from mma82cli.video.packets import PacketVideo, Unsuited

    for name in ("asl/book.mkv", "edge/noise_mid.mp4", "edge/zero_tail.mp4", "edge/tc_h265_video.mp4", "edge/dc_unordered.mov"):
        video, plain = (kind(str(shared / "real" / "video" / name)) for kind in (PacketVideo, Video))
        count = len(plain.times())
        wanted = sorted({int(count * (i + 0.5) / 8) for i in range(8)})
        for ours, theirs in zip(video.pick(wanted), plain.pick(wanted), strict=True):
            assert np.array_equal(ours, theirs), name
    turned = shared / "real" / "video" / "edge" / "dc_video_90.mov"
    with pytest.raises(Unsuited):
        PacketVideo(str(turned))
    av1 = Reader().open(str(shared / "real" / "video" / "edge" / "tc_av1_video.mkv"))  # OpenCV decodes none of it
    assert len(av1.times()) == 125 and av1.pick([0, 124])[1].shape == (360, 640, 3)


@pytest.mark.parametrize(("name", "codec", "size"), [
    ("film.mpg", "mpeg1video", (64, 48)),  # a jump lands anywhere
    ("odd.webm", "libvpx-vp9", (65, 47)),  # colours between pixels: the libraries differ
    ("even.webm", "libvpx-vp9", (64, 48)),
])  # fmt: skip
def test_a_film_gives_the_same_frames_whichever_library_reads_it(tmp_path, name, codec, size):
    av = pytest.importorskip("av", reason="needs mma82[fast]")
    path, picture = str(tmp_path / name), np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), np.uint8)
    with av.open(path, "w") as film:
        stream = film.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for i in range(30):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, 2 * i, 1), format="rgb24").reformat(format="yuv420p")
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    found, plain = Reader().open(path), Video(path)
    assert (type(found) is Video) == (name != "even.webm") and found.times() == plain.times()
    for wanted, start in (([0, 7, 29], 0.0), ([1, 3, 5, 7], 0.52)):
        assert all(np.array_equal(*pair) for pair in zip(found.pick(wanted, start), plain.pick(wanted, start), strict=True))


def test_a_folder_called_av_is_no_library(film, tmp_path):
    (tmp_path / "av").mkdir()
    code = f"import sys; sys.path[:0] = {str(tmp_path)!r}, {str(ROOT)!r}\nfrom mma82cli.video import Reader\n"
    code += f"print(Reader().open({film[0]!r}).width)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "64\n", done.stderr


@pytest.mark.parametrize("shape", [(48, 64), (64, 48), (47, 65), (200, 300), (50, 51), (10, 1000)])
def test_shrinking_keeps_the_shape_and_the_mean(shape):
    picture = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    small = shrink(cv2.GaussianBlur(picture, (0, 0), 4), 32)
    assert min(small.shape[:2]) == 32 and abs(max(small.shape[:2]) - 32 * max(shape) / min(shape)) <= 0.5
    assert abs(float(small.mean()) - float(picture.mean())) < 2


def test_a_cache_gives_nearly_the_frames_of_the_file(film, tmp_path):
    path, _ = film
    clip = Clip(path, 3.0, 4.0)
    direct, cache = Frames(32), Cache(tmp_path / "new" / "cache", 32)
    assert cache.missing([clip]) == [clip]
    assert cache.count(clip) == direct.count(clip) == 10 and cache.missing([clip]) == []
    for wanted in ([0, 4, 9], [5, 5]):
        for mine, theirs in zip(cache.pick(clip, wanted), direct.pick(clip, wanted), strict=True):
            assert mine.shape == theirs.shape  # noise is the worst for JPEG; with half the colours' resolution it is 9 and more
            assert np.abs(mine.astype(int) - theirs).mean() < 6
    assert len(list(cache.folder.iterdir())) == 1
    assert Cache(cache.folder, 24).missing([clip]) == [clip]  # another size
    os.utime(path, ns=(1, 1))
    assert cache.missing([clip]) == [clip]  # another file, as far as one can see


def test_a_pack_of_a_long_film_does_not_fill_the_memory(film, tmp_path, monkeypatch):
    clip, packs, peaks = Clip(film[0]), [], []
    for held in (cache_module.HELD, 10_000):
        monkeypatch.setattr(cache_module, "HELD", held)
        cache = Cache(tmp_path / str(held), 48)
        tracemalloc.start()
        cache.make(clip)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        (path,) = cache.folder.iterdir()
        packs.append(path.read_bytes())
    assert packs[0] == packs[1] and peaks[1] < len(packs[0]) / 2 < peaks[0]


def test_many_threads_fill_and_read_one_cache(film, tmp_path):
    clips = [Clip(film[0], float(i), i + 1.0) for i in range(6)]
    caches = [Cache(tmp_path / "c", 32) for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        sizes = list(pool.map(lambda i: len(caches[i % 2].pick(clips[i % 6], [0, 3, 9])), range(24)))
    assert sizes == [3] * 24
    assert sorted(path.suffix for path in caches[0].folder.iterdir()) == [".jpegs"] * 6


def test_a_torn_pack_is_made_anew_and_a_damaged_one_named(film, tmp_path):
    clip = Clip(film[0], 0.0, 0.5)
    cache = Cache(tmp_path, 32)
    path = cache.path(clip)
    cache.make(clip)
    whole, head = path.read_bytes(), 16 + 8 * (6 + 5)
    for torn in (whole[:-3], b"x" * len(whole), b"", whole[:20], whole[:16] + b"\xff" * 88 + whole[head:]):
        path.write_bytes(torn)
        assert len(Cache(tmp_path, 32).pick(clip, [0])) == 1 and path.read_bytes() == whole
    path.write_bytes(whole[:head] + b"x" * (len(whole) - head))
    with pytest.raises(DataError, match="a damaged pack of .*; remove it, and it is made anew"):
        Cache(tmp_path, 32).pick(clip, [0])


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_wrong_with_a_pack_is_an_error_or_mended(film, tmp_path, seed):
    clip, chance = Clip(film[0], 0.0, 0.5), random.Random(seed)
    cache = Cache(tmp_path, 32)
    cache.make(clip)
    whole = cache.path(clip).read_bytes()
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[chance.randrange(104 if seed % 2 else len(whole))] = chance.randrange(256)
        cache.path(clip).write_bytes(damaged)
        try:
            assert cache.count(clip) == len(cache.stamps(clip)) == len(cache.pick(clip, range(5))) == 5
        except DataError as error:
            assert "a damaged pack" in str(error)
        cache = Cache(tmp_path, 32) if chance.random() < 0.5 else cache


def test_another_process_may_put_its_own_pack_in_the_place(film, tmp_path):
    clip = Clip(film[0], 0.0, 0.5)
    mine, other = Cache(tmp_path / "a", 40), Cache(tmp_path / "b", 32)  # of other bytes, as another library's would be
    count = mine.count(clip)
    other.make(clip)
    mine.path(clip).write_bytes(other.path(clip).read_bytes())
    assert [frame.shape[0] for frame in mine.pick(clip, range(count))] == [32] * 5


def test_frames_of_nothing_are_an_error(film, tmp_path):
    with pytest.raises(DataError, match="not one frame"):
        Frames(32).count(Clip(film[0], 100.0, 101.0))
    with pytest.raises(DataError, match="none.mp4"):
        Cache(tmp_path, 32).count(Clip(str(tmp_path / "none.mp4")))


def test_what_is_drawn_of_a_damaged_film_does_not_hang_on_what_was_drawn_before(film):
    """A reader of packets promises more frames than can be decoded; a resumed training has drawn nothing yet."""

    class Packets(Video):
        def times(self, start=0.0, end=None):
            return [*super().times(start, end), 30.0, 30.1, 30.2]

    def source():
        frames = Frames(32)
        frames._readers = SimpleNamespace(open=Packets)
        return frames

    recipe, clip = load_recipe("gc-tsm-tiny", ["size=32", "test_size=32", "short_side=32"]), Clip(film[0], 29.0)
    one = source()
    for seed in range(12):
        again = (train_clip(each, clip, recipe, np.random.default_rng(seed)) for each in (one, source()))
        assert np.array_equal(*again)
    assert (one.count(clip), one.recount(clip)) == (13, 10)
