"""Round trips of every format that can make one, and a pickle that is not run."""

import io
import json
import os
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli.formats import FORMATS, module
from mma82cli.formats.base import Options, clock, label_name, to_seconds
from mma82cli.formats.pickling import PROTOCOL, STOP, dumps, load
from mma82cli.records import DataError, WrongUsage
from mma82cli.taxonomy import load_taxonomy

MMA82, MA52 = load_taxonomy("mma82"), load_taxonomy("ma52")
QUICK = settings(max_examples=40)

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)
NAMES = WORDS.filter(lambda w: w not in (".", "..") and "/" not in w).map(lambda w: f"d/{w}.mp4")
SPANS = st.tuples(st.integers(0, 900_000), st.integers(1, 90_000)).map(lambda p: (p[0] / 1000, (p[0] + p[1]) / 1000))


def labels(of):
    return st.sampled_from(of.names)


@st.composite
def segments(draw, of=MMA82, **fields):
    (start, end), more = draw(SPANS), draw(st.fixed_dictionaries(fields))
    return {"video": draw(NAMES), "start": start, "end": end, "label": draw(labels(of)), **more}


def through(name, records, of=MMA82, path="", files="x", **options):
    """The records that come back from a format."""
    options = Options(of, **options)
    writer = module(name).Writer(options, path)
    data = writer.begin() + b"".join([writer.add(r) for r in records]) + writer.end()
    reader = module(name).Reader(options)
    found = [reader.record(entry) for _, entry in reader.entries(io.BytesIO(data), files)]
    return [r for r in found if r is not None] + list(reader.rest())


def by_video(records):
    order = {video: i for i, video in enumerate(dict.fromkeys(r["video"] for r in records))}
    return sorted(records, key=lambda r: order[r["video"]])


@QUICK
@given(st.lists(segments(), max_size=6))
def test_labelu(records):
    assert through("labelu", records, files="<stdin>") == by_video(records)
    named = [{**r, "annotator": "a1"} for r in records]
    assert through("labelu", named, annotator="a1") == by_video(named)


@QUICK
@given(st.lists(segments(annotator=WORDS), max_size=6), st.booleans())
def test_elan(records, without):
    records = [{**r, "video": "d/ä %41 b.mp4"} for r in records]
    if without:
        records = [{k: v for k, v in r.items() if k != "annotator"} for r in records]
    back = through("elan", records)
    who = list(dict.fromkeys(r.get("annotator") for r in records))
    assert back == sorted(records, key=lambda r: who.index(r.get("annotator")))


@QUICK
@given(st.lists(segments(annotator=WORDS, fps=st.sampled_from([25.0, 29.97])), min_size=1, max_size=6), st.booleans())
def test_csv(records, tabs):
    assert through("csv", records, path="x.tsv" if tabs else "x.csv") == records
    columns = {"video": "Clip", "start": "von", "end": "bis", "label": "was"}
    assert through("csv", records, columns=columns) == [{f: r[f] for f in columns} for r in records]
    assert through("csv", records, columns={"video": "1", "start": "2", "end": "3", "label": "4"}) == [
        {f: r[f] for f in columns} for r in records
    ]


@QUICK
@given(st.lists(st.fixed_dictionaries({"video": NAMES, "label": labels(MMA82)}), max_size=6))
def test_list(records):
    assert through("list", records) == records


@QUICK
@given(st.lists(st.fixed_dictionaries({"video": NAMES, "label": labels(MA52)}), max_size=6))
def test_ma52(records):
    assert through("ma52", records, MA52) == records


FRAMES = st.tuples(NAMES, st.integers(0, 800), st.integers(1, 90), labels(MA52))


@QUICK
@given(st.lists(FRAMES, max_size=6), st.sampled_from([25, 30, 29.97]))
def test_mma52(rows, fps):
    records = [
        {
            "video": v, "start": round(f / fps, 6), "end": round((f + n) / fps, 6), "label": label, "fps": fps,
            "num_frames": 900, "duration": round(900 / fps, 6),
        }
        for v, f, n, label in rows
    ]  # fmt: skip
    assert through("mma52", records, MA52) == records


@QUICK
@given(st.lists(segments(subject=WORDS), max_size=6))
def test_epic(records):
    records = [{"id": f"P_{i}", **r} for i, r in enumerate(records)]
    assert through("epic", records) == records


INSIDE = st.builds(lambda span, label: {"start": span[0], "end": span[1], "label": label}, SPANS, labels(MMA82))
SCORED = st.builds(lambda s, score: {**s, "score": score / 64}, INSIDE, st.integers(0, 64))


@QUICK
@given(st.lists(st.tuples(st.lists(INSIDE, max_size=3), st.none() | st.lists(SCORED, max_size=3), st.booleans()), max_size=4))
def test_activitynet(videos):
    records = []
    for i, (truth, predictions, other) in enumerate(videos):
        video = f"d/v{i}.mp4" if other else f"v{i}"
        record = {"id": f"v{i}", "video": video, "split": "val", "duration": 1000.5, "num_frames": 9, "segments": truth}
        records.append(record if predictions is None else {**record, "predictions": predictions})
    if records:
        assert through("activitynet", records) == records
    only = [{k: r[k] for k in ("id", "video", "predictions")} | {"video": r["id"]} for r in records if "predictions" in r]
    if only:
        assert through("activitynet", only) == only


@QUICK
@given(st.lists(st.permutations(range(52)), max_size=4))
def test_mac_mar(orders):
    scores = [[1 - order.index(k) / 52 for k in range(52)] for order in orders]
    records = [{"id": f"t{i}", "video": f"t{i}", "scores": s} for i, s in enumerate(scores)]
    for year, k in (("2025", 5), ("2024", 1)):
        back = through("mac-mar", records, MA52, challenge=year)
        assert [[label for label, _ in r["topk"]] for r in back] == [[MA52.names[i] for i in o[:k]] for o in orders]
        again = through("mac-mar", back, MA52, challenge=year)
        assert again == back


@QUICK
@given(st.lists(st.lists(SCORED, min_size=1, max_size=3), max_size=3))
def test_mac_mmad(videos):
    records = [
        {"id": f"v{i}", "video": f"v{i}", "predictions": sorted(p, key=lambda q: -q["score"]), "taxonomy": "mma82"}
        for i, p in enumerate(videos)
    ]
    assert through("mac-mmad", records, MMA82) == records


JOINT = st.tuples(st.integers(1, 192_000), st.integers(1, 108_000), st.integers(1, 1000))
PERSON = st.lists(JOINT, min_size=17, max_size=17).map(lambda js: [v for x, y, s in js for v in (x / 100, y / 100, s / 1000)])


@settings(max_examples=10)
@given(st.lists(st.lists(st.none() | PERSON, min_size=1, max_size=3), min_size=1, max_size=3), st.booleans())
def test_pyskl(clips, two):
    records = []
    for i, frames in enumerate(clips):
        if two and frames[0] is not None:
            frames = [[f, f] if f else None for f in frames]
        record = {"id": f"c{i}", "label": "Nodding", "split": "train", "width": 1920, "height": 1080, "num_frames": len(frames)}
        records.append({**record, "layout": "coco17", "keypoints": frames})
    assert through("pyskl", records) == records


def test_pyskl_is_read_by_anybody_and_says_what_float16_costs():
    record = {"id": "é", "label": 3, "width": 64, "height": 48, "keypoints": [[1.5, 2.25, 0.5] * 17, None]}
    writer = module("pyskl").Writer(Options(MMA82))
    data = writer.begin() + writer.add(record) + writer.end()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = pickle.loads(data)
    (clip,) = plain["annotations"]
    assert clip["frame_dir"] == "é" and clip["label"] == 3 and clip["img_shape"] == (48, 64) and clip["total_frames"] == 2
    assert clip["keypoint"].shape == (1, 2, 17, 2) and clip["keypoint"].dtype == np.float32 and clip["keypoint"].flags.writeable
    assert plain["split"] == {}
    clip["keypoint"] = (clip["keypoint"] + 1500).astype(np.float16)
    reader = module("pyskl").Reader(Options(MMA82))
    back = [reader.record(e) for _, e in reader.entries(io.BytesIO(pickle.dumps([clip])), "x")]
    assert back[0]["keypoints"][0][:3] == [1502.0, 1502.0, 0.5] and "float16" in reader.notes()[0] and "1 px" in reader.notes()[0]


class Evil:
    """Runs a command when unpickled."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_is_read_and_not_run(tmp_path, protocol):
    value = {"a": [np.arange(12, dtype=">f4").reshape(3, 4).T, np.int64(3), (1, 2.5, None, True)], "é": np.array(["x", "yy"])}
    back = load(io.BytesIO(pickle.dumps(value, protocol)), "data")
    assert (back["a"][0] == value["a"][0]).all() and back["a"][1:] == value["a"][1:] and (back["é"] == value["é"]).all()
    target = tmp_path / "touched"
    touch = Evil(os.mkdir, str(target))
    for evil in (touch, Evil(eval, "1"), Evil(getattr, "", "join"), np.array([touch])):
        with pytest.raises(DataError, match="which is not run|not a pickle"):
            load(io.BytesIO(pickle.dumps([evil], protocol)), "data")
    assert not target.exists()


@QUICK
@given(st.binary(max_size=60), st.integers(0, 400), st.integers(0, 255))
def test_damaged_pickles_are_data_errors(noise, place, byte):
    good = bytearray(PROTOCOL + dumps({"a": [np.arange(6.0)], "b": "c"}) + STOP)
    good[place % len(good)] = byte
    for data in (noise, bytes(good), bytes(good[: place % len(good)])):
        try:
            load(io.BytesIO(data), "data")
        except DataError:
            pass


def test_every_format_refuses_noise():
    for name, (_, _, writes, _) in FORMATS.items():
        if name == "tree":
            continue
        reader = module(name).Reader(Options(MMA82, fps=25.0))
        with pytest.raises((DataError, WrongUsage)):
            for noise in (b"\xff\xfe{", b"[1]", b"<a/>", b"a\nb\n"):
                for _, entry in reader.entries(io.BytesIO(noise), "x"):
                    reader.record(entry)
        assert writes is None or hasattr(module(name), "Writer")


def test_times_and_labels():
    assert [to_seconds(t, "t") for t in ("83.25", "1:23.25", "00:01:23.25")] == [83.25] * 3
    assert clock(3723.0456) == "01:02:03.046" and to_seconds(clock(3723.046), "t") == 3723.046
    for bad in ("", "nan", "1:-2", "1:2:3:4", "x"):
        with pytest.raises(DataError):
            to_seconds(bad, "t")
    forms = ("Tilting_forward_backward", "tilting forward/backward", "3", 3)
    assert {label_name(form, MMA82) for form in forms} == {"Tilting forward/backward"}
    with pytest.raises(DataError, match="none"):
        label_name("none", MMA82)


def test_an_eaf_of_elan():
    eaf = """<?xml version="1.0" encoding="UTF-8"?>
    <ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds">
    <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/a/b%20c.mp4" TIME_ORIGIN="500"/></HEADER>
    <TIME_ORDER><TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="1000"/><TIME_SLOT TIME_SLOT_ID="t2"/>
    <TIME_SLOT TIME_SLOT_ID="t3" TIME_VALUE="2000"/></TIME_ORDER>
    <TIER TIER_ID="A1"><ANNOTATION><ALIGNABLE_ANNOTATION TIME_SLOT_REF1="t1" TIME_SLOT_REF2="t3">
    <ANNOTATION_VALUE> nodding </ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    <ANNOTATION><ALIGNABLE_ANNOTATION TIME_SLOT_REF1="t1" TIME_SLOT_REF2="t2">
    <ANNOTATION_VALUE>Nodding</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    <ANNOTATION><REF_ANNOTATION/></ANNOTATION></TIER></ANNOTATION_DOCUMENT>"""
    reader = module("elan").Reader(Options(MMA82))
    good, bad = [entry for _, entry in reader.entries(io.BytesIO(eaf.encode()), "x.eaf")]
    assert reader.record(good) == {"video": "b c.mp4", "start": 1.5, "end": 2.5, "label": "Nodding", "annotator": "A1"}
    with pytest.raises(DataError, match="TIME_VALUE"):
        reader.record(bad)
    assert "1 annotations" in reader.notes()[0]
    with pytest.raises(DataError, match="document type"):
        list(reader.entries(io.BytesIO(b"<!DOCTYPE x [<!ENTITY a 'b'>]><x/>"), "x"))


def test_a_file_of_pointtad():
    data = b'{"v1":{"subset":"training","duration":9.5,"actions":[[3,1.0,2.0]]}}'
    reader = module("activitynet").Reader(Options(MMA82))
    ((_, entry),) = reader.entries(io.BytesIO(data), "x")
    expected = {"start": 1.0, "end": 2.0, "label": "Tilting forward/backward"}
    assert reader.record(entry) == {"id": "v1", "video": "v1", "split": "train", "duration": 9.5, "segments": [expected]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 99) | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=4,
)
RANGES = {"type": "timelinelabels", "value": {"ranges": [{"start": 1, "end": 25}], "timelinelabels": ["Nodding"]}}
TRUTH = {"subset": "training", "duration": 9, "annotations": [{"segment": [0, 1], "label": 3}]}
FOUND = {"segment": [0, 1], "label": 3, "score": 0.5}
ONE = {"start": 0, "end": 1, "label": "Nodding"}
WHOLE = {
    "labelu": [{"fileName": "a", "result": {"annotations": [{"toolName": "videoSegmentTool", "result": [ONE]}]}}],
    "label-studio": [{"data": {"video": "a.mp4"}, "annotations": [{"completed_by": 3, "result": [RANGES]}]}],
    "activitynet": {"database": {"v": TRUTH, "w": {"actions": [[3, 0, 1]]}}, "results": {"v": [FOUND]}},
}

@settings(max_examples=150)
@given(st.sampled_from(sorted(WHOLE)), st.data(), JSON)
def test_json_that_is_changed_anywhere_is_read_or_refused(name, data, value):
    whole = json.loads(json.dumps(WHOLE[name]))
    at, places = whole, []
    while isinstance(at, (dict, list)) and at:
        places.append((at, data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))))
        at = at[places[-1][1]]
    holder, key = data.draw(st.sampled_from(places))
    holder[key] = value
    reader = module(name).Reader(Options(MMA82, fps=25.0))
    try:
        for _, entry in reader.entries(io.BytesIO(json.dumps(whole).encode()), "x"):
            try:
                record = reader.record(entry)
            except DataError:
                continue
            json.dumps(record, allow_nan=False)
    except DataError:
        pass


def test_odd_annotations_of_pyskl_are_named():
    good = {"frame_dir": "a", "label": 3, "img_shape": (4, 6), "total_frames": 1, "keypoint": np.ones((1, 1, 17, 2))}
    good["keypoint_score"] = np.ones((1, 1, 17))
    odd = [
        {"img_shape": (4,)}, {"img_shape": "x"}, {"label": "none"}, {"label": [1]}, {"frame_dir": 3}, {"keypoint": None},
        {"keypoint": np.ones((3, 17, 3))}, {"keypoint_score": np.ones(3)}, {"keypoint": np.full((1, 1, 17, 2), np.nan)},
    ]  # fmt: skip
    reader = module("pyskl").Reader(Options(MMA82))
    data = pickle.dumps({"split": {"xsub_train": ["a"]}, "annotations": [good, 7, *({**good, **o} for o in odd)]})
    entries = [entry for _, entry in reader.entries(io.BytesIO(data), "x")]
    first = reader.record(entries[0])
    assert (first["split"], first["width"], first["height"], first["layout"]) == ("train", 6, 4, "coco17")
    for entry in entries[1:]:
        json.dumps(entry[0])
        with pytest.raises(DataError):
            reader.record(entry)
