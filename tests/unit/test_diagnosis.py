"""The diagnosis of detections against its definition in plain Python, and what must hold of any detector."""

import numpy as np
import pytest
from bench.plain_diagnosis import PlainDiagnosis
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli.detections import Detections
from mma82cli.metrics import diagnosis_matching
from mma82cli.metrics.diagnosis import BORDERS, ERRORS, Diagnosis, sort_into_buckets
from mma82cli.records import DataError
from mma82cli.stream import Line, Pipe
from mma82cli.taxonomy import Taxonomy

LABELS = Taxonomy("letters", ["a", "b", "c", "d"], aliases=[[]] * 4)


def diagnosis(records, tious=(0.5,), borders="mma82"):
    videos = Detections(Pipe("diagnose"), LABELS)
    for i, record in enumerate(records):
        videos.add(Line(record, "file", i + 1))
    order = videos.order()
    durations = np.array([record.get("duration") for record in records], float)[order]
    truth, axes = sort_into_buckets(videos.truth.spans(order), durations, BORDERS[borders])
    return Diagnosis(truth, videos.found.spans(order), axes, np.array(tious))


def figures(records, **options):
    lines = list(diagnosis(records, **options).lines())
    found = {(x["analysis"], x["axis"], x["bucket"], x["error"], x["tiou"]): x["value"] for x in lines}
    assert len(found) == len(lines)
    return found


def segment(start, end, label, score=None):
    return {"start": start, "end": end, "label": label} | ({} if score is None else {"score": score})


def video(segments, predictions, name="v", duration=100.0):
    return {"id": name, "duration": duration, "segments": segments, "predictions": predictions}


# few distinct times and scores, so that equal tIoUs, equal scores, thresholds met exactly and odd segments all occur
TIMES = st.integers(0, 12)
SEGMENTS = st.lists(st.builds(segment, TIMES, TIMES, st.sampled_from("abc")), max_size=6)
PREDICTIONS = st.lists(
    st.builds(segment, TIMES, TIMES, st.sampled_from("abcd"), st.integers(0, 6).map(lambda n: n / 6)), max_size=25
)
RECORDS = st.lists(st.tuples(SEGMENTS, PREDICTIONS, st.sampled_from([5.0, 12.0])), min_size=1, max_size=4)


@settings(max_examples=150)
@given(RECORDS, st.sampled_from([1 << 20, 1, 7]), st.sampled_from([[0.05, 0.5, 0.75], [0.25, 0.5], [0.5, 1.0]]))
def test_equal_to_the_definition(rows, pairs, tious):
    records = [video(s, p, f"v{i}", duration) for i, (s, p, duration) in enumerate(rows)]
    records[0]["segments"].append(segment(1, 4, "a"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diagnosis_matching, "PAIRS", pairs)
        got = figures(records, tious=tious)
    want = PlainDiagnosis(records, tious).figures
    assert got.keys() == want.keys()
    for key, value in want.items():
        assert got[key] == (None if value != value else pytest.approx(value, abs=1e-12)), key
    assert figures(records[::-1], tious=tious) == got  # the order of the records is of no account


@settings(max_examples=30)
@given(RECORDS)
def test_perfect_predictions_have_no_errors(rows):
    records = []
    for i, (segments, _, _) in enumerate([*rows, ([segment(0, 2, "a")], [], 12.0)]):
        kept = {(s["start"], s["end"], s["label"]): s for s in segments if s["start"] < s["end"]}.values()
        records.append(video(list(kept), [s | {"score": 0.5} for s in kept], f"v{i}", 12.0))
    for (analysis, _, _, error, _), value in figures(records, tious=[0.3, 1.0]).items():
        if value is not None:
            wanted = 1 if analysis in ("base", "sensitivity") or (analysis == "false-positive" and error is None) else 0
            assert value == pytest.approx(wanted, abs=1e-12), (analysis, error)


ONE = [segment(10, 20, "a"), segment(50, 60, "b")]
FOUND = [segment(10, 20, "a", 0.9), segment(50, 60, "b", 0.9)]
PLANTED = {
    "double": segment(11, 20, "a", 0.95),
    "wrong-label": segment(10, 20, "b", 0.95),
    "localization": segment(16, 26, "a", 0.95),
    "confusion": segment(16, 26, "b", 0.95),
    "background": segment(30, 40, "a", 0.95),
}


@pytest.mark.parametrize("error", ERRORS)
def test_a_planted_error_is_found_as_itself(error):
    got = figures([video(ONE, [*FOUND, PLANTED[error]])])
    shares = {e: got["false-positive", "rank", "1G-10G", e, 0.5] for e in (*ERRORS, None)}
    assert shares == {e: pytest.approx(1 / 3 if e == error else 2 / 3 if e is None else 0) for e in shares}
    gains = {e: got["impact", None, None, e, 0.5] for e in ERRORS}
    assert gains == {e: pytest.approx(1 - got["base", None, None, None, 0.5] if e == error else 0) for e in ERRORS}
    # it stands before one label's only true positive, but the second of a segment stands after it
    assert gains[error] == pytest.approx(0 if error == "double" else 0.25)


def test_of_equal_tious_the_later_segment_is_found():
    truth = [segment(0, 4, "a"), segment(6, 10, "a")]
    got = diagnosis([video(truth, [segment(2, 8, "a", 0.9), segment(6, 10, "a", 0.8)])], tious=[0.25, 0.5])
    assert got.matches.found.tolist() == [[1, -1], [-1, 1]]
    assert got.matches.nearest.tolist() == [0, 1] and got.matches.top.tolist() == [0.25, 1.0]


def test_what_stands_too_low_counts_as_missed():
    noise = [segment(200 + i, 200.5 + i, "a", 0.95) for i in range(40)]
    assert figures([video(ONE, FOUND)])["false-negative", None, None, None, 0.5] == 0
    got = figures([video(ONE, [*FOUND, *noise])])
    assert got["false-negative", None, None, None, 0.5] == 0.5 and got["base", None, None, None, 0.5] > 0.5


def test_a_border_belongs_to_the_bucket_below():
    truth = [segment(0, length, "a") for length in (3, 3.5, 6, 12, 18, 19)]
    axes = {axis.name: axis for axis in diagnosis([video(truth, [], duration=20.0)]).axes}
    assert [axes["length"].buckets[i] for i in axes["length"].bucket] == ["XS", "S", "S", "M", "L", "XL"]
    assert [axes["coverage"].buckets[i] for i in axes["coverage"].bucket] == ["XS", "XS", "S", "M", "XL", "XL"]
    assert axes["num-instances"].buckets == ("XS", "S", "M", "L") and set(axes["num-instances"].bucket) == {2}


def test_no_truth_no_predictions_no_duration():
    with pytest.raises(DataError, match="no true segments"):
        diagnosis([video([segment(5, 5, "a")], [segment(0, 1, "a", 0.5)])])
    got = figures([{"id": "v", "segments": ONE, "predictions": []}], tious=[0.1, 0.5])
    assert {axis for _, axis, _, _, _ in got} == {None, "rank", "length", "num-instances"}
    assert got["base", None, None, None, "avg"] == 0 and got["false-negative", None, None, None, "avg"] == 1
    assert got["false-positive", "rank", "1G", "double", 0.5] is None
