"""Windows tile a video, cut through nothing, lose nothing; files hold the frames that their time says."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli.annotation.cutting import source_of, windows
from mma82cli.annotation.windows import Limits, tile
from mma82cli.taxonomy import load_taxonomy
from mma82cli.video.writer import Clip, to_clip_time

LABELS = load_taxonomy()
MS = 1000
limits = st.tuples(st.integers(1, 400), st.integers(2, 12), st.integers(0, 500)).map(
    lambda t: Limits(t[0] * MS, t[0] * t[1] * MS, t[2] * MS)
)
spans = st.lists(
    st.tuples(st.integers(0, 3000), st.integers(1, 600)).map(lambda p: (p[0] * MS, (p[0] + p[1]) * MS)), max_size=12
)


def breach(tiling, limits):
    return sum(max(0, limits.least - (b - a), b - a - limits.most) for a, b in tiling)


@settings(max_examples=300)
@given(spans, st.integers(0, 900), limits)
def test_windows_tile_the_video_and_cut_through_nothing(spans, more, limits):
    length = max([end for _, end in spans], default=1 * MS) + more * MS
    tiling = tile(spans, length, limits)
    assert tiling[0][0] == 0 and tiling[-1][1] == length and all(a < b for a, b in tiling)
    assert all(before[1] == after[0] for before, after in zip(tiling, tiling[1:], strict=False))
    for start, end in spans:
        assert sum(a <= start and end <= b for a, b in tiling) == 1


@settings(max_examples=80)
@given(
    st.lists(st.tuples(st.integers(0, 14), st.integers(1, 6)).map(lambda p: (p[0] * MS, (p[0] + p[1]) * MS)), max_size=4),
    st.integers(0, 5),
    st.tuples(st.integers(1, 3), st.integers(2, 3), st.integers(0, 4)),
)
def test_limits_are_broken_no_more_than_any_tiling_must(spans, more, numbers):
    """Against every tiling whose cuts are whole milliseconds."""
    limits = Limits(numbers[0] * MS, numbers[0] * numbers[1] * MS, numbers[2] * MS)
    end = max([end for _, end in spans], default=MS) // MS + more
    free = [t for t in range(1, end) if not any(a < t * MS < b for a, b in spans)][:12]
    least = min(
        breach([(a * MS, b * MS) for a, b in zip([0, *cuts], [*cuts, end], strict=True)], limits)
        for n in range(len(free) + 1)
        for cuts in combinations(free, n)
    )
    got = breach(tile(spans, end * MS, limits), limits)
    assert got == least or (len(free) == 12 and got <= least)


def test_long_pauses_end_windows_and_short_ones_do_not():
    second = 1_000_000
    spans = [(1 * second, 2 * second), (3 * second, 4 * second), (7 * second, 8 * second)]
    assert tile(spans, 10 * second, Limits(600_000, 90 * second, 2 * second)) == [(0, 5_500_000), (5_500_000, 10 * second)]
    assert tile(spans, 10 * second, Limits(600_000, 90 * second, 4 * second)) == [(0, 10 * second)]
    assert [b for _, b in tile(spans, 10 * second, Limits(600_000, 6 * second, 4 * second))] == [5_500_000, 10 * second]


@settings(max_examples=100)
@given(spans.filter(bool), limits, st.integers(0, 5))
def test_windows_hold_each_instance_once_in_their_own_time(spans, limits, later):
    """Also where the source is itself a window of an earlier cut."""
    length = max(end for _, end in spans) / 1e6
    segments = [{"start": a / 1e6, "end": b / 1e6, "label": i % 82, "mark": i} for i, (a, b) in enumerate(spans)]
    record = {"video": "v.mp4", "subject": "s", "duration": length, "num_frames": 9, "segments": segments}
    record |= {"start": later, "end": later + length} if later else {}
    made = list(windows(source_of(json.loads(json.dumps(record)), LABELS), limits))
    assert all("num_frames" not in w and w["subject"] == "s" for w in made)
    found = {}
    for window in made:
        assert abs(window["end"] - window["start"] - window["duration"]) < 1e-9
        for s in window["segments"]:
            assert 0 <= s["start"] < s["end"] <= window["duration"]
            assert s["mark"] not in found
            found[s["mark"]] = [round(window["start"] + s[k] - later, 6) for k in ("start", "end")]
    assert found == {s["mark"]: [s["start"], s["end"]] for s in segments}


def test_times_of_a_clip_keep_frames_in_their_segments_at_any_rate():
    rng = np.random.default_rng(0)
    times = np.round(7.3 + np.cumsum(rng.uniform(0.01, 0.08, 50)), 6)
    clip = Clip(25.0, 8, 8, times.tolist())
    for _ in range(200):
        start, end = np.sort(rng.choice([*times, *rng.uniform(7, 10, 50)], 2))
        a, b = to_clip_time([start, end], clip)
        inside = [start <= t < end for t in times]
        assert inside == [a <= round(i / 25, 6) < b for i in range(50)]
