"""`mma82 extract-face` as a user meets it, with a stand-in for deepface, whose weights are not to be had here."""

import json
import math

import numpy as np
import pytest
from conftest import write_film

LIBRARY = '''
"""Tells a face by its colours, and notes how it was asked."""
import json, os

def analyze(img_path, **asked):
    with open(os.environ["ASKED"], "a") as file:
        file.write(json.dumps([list(img_path.shape), str(img_path.dtype), asked]) + "\\n")
    if os.environ.get("BROKEN"):
        raise ValueError("weights can't be\\ndownloaded")
    blue, green, red = (float(100 * img_path[..., c].mean() / 255) for c in range(3))
    return [{"emotion": {"angry": red, "happy": green, "sad": blue}, "dominant_emotion": "angry"}]
'''
BOX = (60, 20, 100, 60)  # of the face in the first frame; it moves 2 px to the right in each


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    (folder / "deepface").mkdir()
    (folder / "deepface" / "__init__.py").write_text('__version__ = "0"\n')
    (folder / "deepface" / "DeepFace.py").write_text(LIBRARY)
    return folder


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A grey film of 20 frames in which a face is orange."""
    folder = tmp_path_factory.mktemp("videos")
    film = np.full((20, 120, 200, 3), 30, np.uint8)
    for t, frame in enumerate(film):
        frame[BOX[1] : BOX[3], BOX[0] + 2 * t : BOX[2] + 2 * t] = (20, 120, 240)
    write_film(folder / "a.avi", film, letters="MJPG")
    return folder


def person(t: int, score=0.9) -> list[float]:
    """COCO's joints with a head of 40 px at the face's place."""
    x, y = (BOX[0] + BOX[2]) / 2 + 2 * t, (BOX[1] + BOX[3]) / 2
    head = [(0, 2), (6, -4), (-6, -4), (14, 0), (-14, 0)]
    joints = [(x + a, y + b) for a, b in head] + [(x, y + 60)] * 12
    return [float(v) for a, b in joints for v in (a, b, score)]


RECORD = {"id": "a", "video": "a.avi", "emotion": "anger", "layout": "coco17", "keypoints": [person(t) for t in range(20)]}


@pytest.fixture
def face(run, stand_in, videos, tmp_path):
    """face(records, …options, **env) -> (Result, how the library was asked)."""

    def call(records, *options, **env):
        env = {"PYTHONPATH": str(stand_in), "ASKED": str(tmp_path / "asked"), **env}
        result = run("extract-face", "--root", videos, *options, stdin=records, env=env)
        asked = (tmp_path / "asked").read_text().splitlines() if (tmp_path / "asked").exists() else []
        return result, [json.loads(line) for line in asked]

    return call


def test_the_face_is_where_the_joints_say(face):
    result, asked = face([RECORD])
    assert result.code == 0, result.err
    record = result.records[0]
    assert list(record) == [*RECORD, "face"] and record["face"]["labels"] == ["angry", "happy", "sad"]
    z = np.log([240, 120, 20])
    assert record["face"]["logits"] == pytest.approx((z - z.mean()).tolist(), abs=0.3)
    assert sum(record["face"]["logits"]) == pytest.approx(0, abs=1e-3)
    assert len(asked) == 8 and all(abs(side - 40) <= 2 for shape, _, _ in asked for side in shape[:2])
    options = {"actions": ["emotion"], "detector_backend": "skip", "enforce_detection": False, "align": False, "silent": True}
    assert asked[0][1:] == ["uint8", options]
    assert len(face([RECORD], "--frames", "30")[1]) == 8 + 20


def test_what_comes_out_can_be_fused(face, run):
    result, _ = face([RECORD])
    fused = run("fuse", "--method", "mean", "--taxonomy", "emotion8", "--target", "emotion", stdin=result.out).records[0]
    assert fused["scores"][0] == max(fused["scores"]) and fused["face"] == result.records[0]["face"]


def test_a_span_and_another_layout(face):
    part = {**RECORD, "start": 1.0, "end": 1.5, "keypoints": [person(t) for t in range(10, 15)]}
    assert face([part])[0].records[0]["face"]["logits"] == pytest.approx(face([RECORD])[0].records[0]["face"]["logits"], abs=0.1)
    bare = {**RECORD, "layout": "jhmdb15", "keypoints": [[1.0, 1.0, 1.0] * 15] * 20}
    result, _ = face([bare])
    assert result.code == 1 and "<stdin>:1: layout jhmdb15 has no nose and eyes" in result.err


def test_where_no_head_is_seen_there_is_no_face(face):
    hidden = {**RECORD, "keypoints": [person(t, 0.1) if t % 2 else None for t in range(20)], "warnings": ["dark"]}
    result, asked = face([hidden, {**RECORD, "keypoints": [None] * 20}])
    assert result.code == 0 and [x["face"] for x in result.records] == [None, None] and asked == []
    assert result.records[0]["warnings"] == ["dark", "no face is seen"]
    assert result.err == "mma82 extract-face: no face is seen in 2 clip(s)\n"
    outside = {**RECORD, "keypoints": [[v + 500 * (i % 3 == 0) for i, v in enumerate(person(t))] for t in range(20)]}
    assert face([outside])[0].records[0]["face"] is None


def test_a_face_that_is_seen_now_and_then_is_looked_at_then(face):
    some = {**RECORD, "keypoints": [person(t) if t in (3, 11) else None for t in range(20)]}
    result, asked = face([some])
    assert len(asked) == 2 and result.records[0]["face"]["logits"][0] > 0.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"video": None}, "<stdin>:1: field 'video' is null; expected a string"),
        ({"video": "b.avi"}, "b.avi: No such file or directory"),
        ({"keypoints": 3}, "<stdin>:1: field 'keypoints' is 3"),
        ({"keypoints": [person(t) for t in range(40)]}, "the clip has fewer frames than the 40 with joints"),
        ({"start": 2, "end": 1}, "<stdin>:1: field 'end' is 1; expected a time after 'start'"),
        ({"keypoints": [[math.pi] * 6] * 20}, "frame 0 of 'keypoints' holds 6 numbers; expected 51"),
    ],
)
def test_bad_input_is_one_line(face, change, words):
    result, _ = face([{**RECORD, **change}])
    assert (result.code, result.out) == (1, "") and result.err.count("\n") == 1 and words in result.err
    result, _ = face([{**RECORD, **change}, RECORD], "-q", "--on-error", "skip")
    assert result.code == 1 and len(result.records) == 1 and words.split(": ")[-1] in json.loads(result.err)["error"]


def test_a_network_that_is_not_there_is_one_line(face, tmp_path):
    result, _ = face([RECORD], BROKEN="1")
    assert result.code == 2 and result.err == "mma82 extract-face: deepface: weights can't be downloaded\n"
    (tmp_path / "deepface").mkdir()
    (tmp_path / "deepface" / "__init__.py").write_text("import nosuchmodule\n")
    result, _ = face([RECORD], PYTHONPATH=str(tmp_path))
    assert result.code == 2 and "No module named 'nosuchmodule'" in result.err and "pip install 'mma82[face]'" in result.err
