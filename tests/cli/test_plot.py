"""`mma82 plot`: every kind draws what its command wrote, and refuses what it did not."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import as_lines

from mma82cli.plots import KINDS, Options, chosen, confusion, curves, examples, overlay, timeline
from mma82cli.skeleton.layouts import load_layout
from mma82cli.taxonomy import load_taxonomy

VIDEO = {
    "id": "v1", "duration": 12, "segments": [{"start": 1, "end": 3, "label": "Nodding"}],
    "predictions": [{"start": 1, "end": 3.1, "label": "Nodding", "score": 0.9}],
}  # fmt: skip


def test_diagnosis_is_the_figure_of_diagnose(run, tmp_path):
    figures = run("diagnose", "--plot", tmp_path / "a", stdin=[VIDEO])
    drawn = run("plot", "diagnosis", "--out", tmp_path / "b", stdin=figures.out)
    assert drawn.code == 0, drawn.err
    assert [x["figure"] for x in drawn.records] == [str(tmp_path / "b" / f"diagnosis{end}") for end in (".svg", ".png")]
    for end in ("svg", "png"):
        assert (tmp_path / "a" / f"diagnosis.{end}").read_bytes() == (tmp_path / "b" / f"diagnosis.{end}").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_other_records_are_refused_in_a_line(run, tmp_path, kind):
    refused = run("plot", kind, "--out", tmp_path, stdin=[{"id": "x"}])
    assert refused.code == 1 and refused.out == ""
    assert refused.err.startswith("mma82 plot: ") and refused.err.count("\n") == 1


def test_an_unknown_kind_names_the_kinds(run):
    refused = run("plot", "pie")
    assert refused.code == 2 and "diagnosis" in refused.err


@pytest.fixture(scope="session")
def waving():
    """A clip of a person on grey whose right wrist goes up and down, and one where nobody is."""
    still = np.array([[50, 20, 0.9], [48, 18, 0.9], [52, 18, 0.9], [46, 19, 0.9], [54, 19, 0.9], [40, 35, 0.9], [60, 35, 0.9],
                      [36, 50, 0.9], [64, 50, 0.9], [35, 62, 0.9], [65, 62, 0.9], [43, 65, 0.9], [57, 65, 0.9],
                      [43, 80, 0.9], [57, 80, 0.9], [43, 95, 0.9], [57, 95, 0.9]])  # fmt: skip
    frames = []
    for t in range(20):
        joints = still.copy()
        joints[10, 1] += 8 * np.sin(t / 2)
        frames.append(joints.round(2).ravel().tolist())
    clip = {"id": "a/b c", "width": 100, "height": 120, "fps": 10, "label": "Waving", "layout": "coco17", "keypoints": frames}
    return clip | {"topk": [["Waving", 0.7], ["Nodding", 0.2]]}


def test_overlay_is_a_strip_and_a_video(run, tmp_path, waving):
    nobody = {**waving, "id": "n", "keypoints": [None] * 20, "video": None}
    drawn = run("plot", "overlay", "--out", tmp_path, stdin=[waving, nobody])
    assert drawn.code == 0, drawn.err
    names = [Path(x["figure"]).name for x in drawn.records]
    assert names == [f"overlay-{name}.{end}" for name in ("a_b_c", "n") for end in ("svg", "png", "mp4")]
    film = cv2.VideoCapture(str(tmp_path / "overlay-a_b_c.mp4"))
    frames = [film.read()[1] for _ in range(20)]
    assert not film.read()[0] and frames[0].shape == (120 + 48, 100, 3) and film.get(cv2.CAP_PROP_FPS) == 10
    again = run("plot", "overlay", "--out", tmp_path / "again", stdin=[waving])
    for end in ("svg", "png"):
        assert (tmp_path / f"overlay-a_b_c.{end}").read_bytes() == (tmp_path / "again" / f"overlay-a_b_c.{end}").read_bytes()
    assert again.code == 0
    unnamed = run("plot", "overlay", "--out", tmp_path, stdin=[{**waving, "video": 5}])
    assert (unnamed.code, unnamed.err) == (1, "mma82 plot: <stdin>:1: field 'video' is 5; expected a string\n")


def test_what_moves_is_green_and_has_an_arrow(waving):
    joints = np.array(waving["keypoints"]).reshape(20, 17, 3)
    moves, trend = overlay._motion(joints, 10)
    assert moves[:, 10].all() and not np.delete(moves, 10, axis=1).any()
    up = np.cos(np.arange(3, 17) / 2)
    assert (np.sign(trend[3:17, 10, 1]) == np.sign(up))[np.abs(up) > 0.5].all()
    picture = np.full((480, 400, 3), 96, np.uint8)
    overlay.paint(picture, joints[1] * (4, 4, 1), moves[1], trend[1] * 4, load_layout("coco17"))
    x, y = (joints[1, 10, :2] * 4).round().astype(int)
    around = picture[y - 30 : y + 30, x - 30 : x + 30]
    for colour in (overlay.MOVES, overlay.TREND):
        assert (around == colour).all(-1).sum() > 5 and not (picture[:200] == colour).all(-1).any()
    assert tuple(picture[65 * 4, 43 * 4]) == overlay.STILL


def test_overlay_of_labels_and_joints_of_ones_own(run, tmp_path, waving):
    mine, two = tmp_path / "mine.json", tmp_path / "two.json"
    mine.write_text('{"name":"mine","labels":["yes","no"]}')
    two.write_text('{"name":"two","joints":["left","right"],"limbs":[[0,1]]}')
    record = {"id": "a", "scores": [0.25, 0.75], "taxonomy": "mine", "keypoints": [frame[:6] for frame in waving["keypoints"]]}
    drawn = run("plot", "overlay", "--out", tmp_path, "--taxonomy", mine, "--layout", two, stdin=[record])
    assert drawn.code == 0 and "predicted: no 0.75, yes 0.25" in (tmp_path / "overlay-a.svg").read_text()
    assert "or give a .json file" in run("plot", "overlay", "--out", tmp_path, "--layout", two, stdin=[record]).err
    assert "2 joints; expected 17, as coco17 has (--layout FILE)" in run("plot", "overlay", "--out", tmp_path, stdin=[record]).err
    del record["keypoints"]
    assert "`mma82 infer --keep-keypoints` writes" in run("plot", "overlay", "--out", tmp_path, stdin=[record]).err


@pytest.mark.skipif(cv2.__version__ < "5", reason="OpenCV 4 has no letters beyond ASCII")
def test_captions_have_letters_of_any_language(run, tmp_path, waving):
    films = []
    for label in ("sch?tteln", "schütteln", "点头"):
        drawn = run("plot", "overlay", "--out", tmp_path, stdin=[{**waving, "id": "a", "label": label}])
        assert drawn.code == 0, drawn.err
        films.append((tmp_path / "overlay-a.mp4").read_bytes())
    assert len(set(films)) == 3


@pytest.mark.parametrize("far", [2**31, -1e18, 3e38])
def test_a_joint_beyond_all_pictures_harms_none(run, tmp_path, waving, far):
    frames = [[far if i == 3 * 10 + 1 else value for i, value in enumerate(frame)] for frame in waving["keypoints"]]
    drawn = run("plot", "overlay", "--out", tmp_path, stdin=[{**waving, "keypoints": frames}])
    assert drawn.code == 0 and len(drawn.records) == 3, drawn.err


def test_overlay_draws_the_records_that_are_named(run, tmp_path, waving):
    records = [{**waving, "id": name} for name in "abcdefg"]
    few = run("plot", "overlay", "--out", tmp_path, stdin=records)
    assert [Path(x["figure"]).stem for x in few.records][::3] == [f"overlay-{n}" for n in "abcd"]
    one = run("plot", "overlay", "--out", tmp_path, "--id", "f", stdin=records)
    assert [Path(x["figure"]).name for x in one.records] == [f"overlay-f.{end}" for end in ("svg", "png", "mp4")]
    none = run("plot", "overlay", "--out", tmp_path, "--id", "x", stdin=records)
    assert none.code == 1 and 'no record with the id "x"' in none.err
    odd = run("plot", "overlay", "--out", tmp_path, stdin=[{**waving, "layout": "jhmdb15"}])
    assert odd.code == 1 and "17 joints; expected 15" in odd.err


def test_options_that_a_kind_does_not_go_by_are_refused(run, tmp_path, waving):
    for kind, row, options, said in [
        ("curves", epochs(2)[0], ["--id", "a", "--taxonomy", "mma82"], "curves: goes by --out alone; found --id and --taxonomy"),
        ("auto", epochs(2)[0], ["--root", "x"], "curves: goes by --out alone; found --root"),
        ("timeline", waving, ["--layout", "coco17"], "timeline: goes by --out, --id, --root alone; found --layout"),
    ]:
        refused = run("plot", kind, "--out", tmp_path, *options, stdin=[row])
        assert (refused.code, refused.err) == (2, f"mma82 plot: {said}\n")


def epochs(count: int, **figures) -> list[dict]:
    return [{"epoch": e, "epochs": count, "lr": 0.1, "loss": 3 / e, **figures} for e in range(1, count + 1)]


def test_curves_tell_runs_by_their_folder_and_where_epochs_start_over(run, tmp_path):
    for name, rows in (("seed-0", epochs(3, train_top1=0.5, val_top1=0.25, val_mca=0.125)), ("seed-1", epochs(4))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.jsonl").write_bytes(as_lines(rows))
    logs = [tmp_path / name / "log.jsonl" for name in ("seed-0", "seed-1")]
    drawn = run("plot", "curves", "--out", tmp_path, *logs, "-", stdin=epochs(2) + epochs(3))
    assert drawn.code == 0, drawn.err
    assert [Path(x["figure"]).name for x in drawn.records] == ["curves.svg", "curves.png"]
    assert cv2.imread(str(tmp_path / "curves.png")).std() > 10


def test_curves_are_those_of_the_log():
    lines = [{**line, "file": file} for file in ("runs/a/log.jsonl", "<stdin>") for line in epochs(2, val_mca=0.5) * 2]
    runs = curves.runs_of(lines)
    assert list(runs) == ["a", "a (2)", "run", "run (2)"] and all(len(run) == 2 for run in runs.values())
    panels = curves.figure(runs).axes
    assert [panel.get_ylabel() for panel in panels] == ["Loss", "MCA (%)"]
    assert [list(line.get_ydata()) for line in panels[0].lines] == 4 * [[3.0, 1.5]]
    assert list(panels[1].lines[1].get_ydata()) == [50.0, 50.0]


def test_a_first_epoch_is_seen():
    panels = curves.figure(curves.runs_of(epochs(1, train_map50=0.2, val_map50=0.5))).axes
    assert [panel.get_ylabel() for panel in panels] == ["Loss", "mAP@0.5 (%)"]
    assert all(line.get_marker() == "o" for panel in panels for line in panel.lines)


@pytest.mark.parametrize(
    "kind, lines, said",
    [
        ("curves", [*epochs(2), {"epoch": 3}], '<stdin>:3: a line without "loss"; '),
        ("curves", [*epochs(2), {"epoch": 3, "loss": "low"}], "<stdin>:3: field 'loss' is \"low\"; expected a number"),
        ("timeline", [VIDEO, {"id": "b"}], "<stdin>:2: b has no 'segments' and no 'predictions'; "),
        ("timeline", as_lines([VIDEO]) + b"{\n", "<stdin>:2:1: broken JSON"),
    ],
)
def test_a_line_that_is_no_figure_s_is_placed(run, tmp_path, kind, lines, said):
    refused = run("plot", kind, "--out", tmp_path, stdin=lines)
    assert refused.code == 1 and refused.err.startswith(f"mma82 plot: {said}"), refused.err


@pytest.mark.parametrize("bad", [{"loss": "low"}, {"val_top1": None}, {"epoch": [1]}])
def test_curves_refuse_what_is_no_number(run, tmp_path, bad):
    refused = run("plot", "curves", "--out", tmp_path, stdin=[{**epochs(1)[0], **bad}])
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1) and f"field '{next(iter(bad))}' is" in refused.err


def test_auto_knows_what_to_draw(run, tmp_path):
    for command, records, kinds in (
        (("labels",), b"", ["taxonomy"]),
        (("stats",), [{"id": "a", "label": "Nodding", "duration": 2.0}], ["ring", "violin", "classes"]),
        (("diagnose",), [VIDEO], ["diagnosis"]),
        (("score", "--confusion", "--level", "action"), [{"id": "a", "label": 1, "topk": [[2, 0.5]]}], ["confusion-action"]),
    ):
        made = run(*command, stdin=records)
        drawn = run("plot", "auto", "--out", tmp_path, stdin=made.out)
        assert drawn.code == 0, drawn.err
        assert [Path(x["figure"]).name for x in drawn.records] == [f"{kind}.{end}" for kind in kinds for end in ("svg", "png")]
    timeless = run("plot", "auto", "--out", tmp_path, stdin=run("stats", stdin=[{"id": "a", "label": "Nodding"}]).out)
    assert timeless.code == 0 and [Path(x["figure"]).stem for x in timeless.records[::2]] == ["ring", "classes"]
    assert timeless.err.startswith("mma82 plot: no violin: no record told how long it is") and timeless.err.count("\n") == 1
    refused = run("plot", "auto", "--out", tmp_path, stdin=[{"id": "x", "label": "Nodding"}])
    assert refused.code == 1 and refused.err.startswith('mma82 plot: no figure is made of a line with "id", "label"; ')
    assert run("plot", "auto", "--out", tmp_path, stdin=b"").err.startswith("mma82 plot: no figure is made of no line")


def test_figures_of_body_groups_say_where_labels_have_none(run, tmp_path):
    (tmp_path / "own.json").write_text('{"name":"own","labels":["yes"]}')
    made = run("stats", "--taxonomy", tmp_path / "own.json", stdin=[{"id": "a", "label": "yes"}])
    refused = run("plot", "ring", "--out", tmp_path, stdin=made.out)
    assert refused.code == 1 and "the labels have no body groups" in refused.err


def test_timeline_of_truth_and_predictions(run, tmp_path):
    bare = {"id": "a/b", "segments": VIDEO["segments"]}
    drawn = run("plot", "timeline", "--out", tmp_path, stdin=[{**VIDEO, "id": "v"}, bare])
    assert drawn.code == 0, drawn.err
    names = [Path(x["figure"]).name for x in drawn.records]
    assert names == ["timeline-v.svg", "timeline-v.png", "timeline-a_b.svg", "timeline-a_b.png"]
    assert (tmp_path / "timeline-v.svg").read_text() != (tmp_path / "timeline-a_b.svg").read_text()
    assert run("plot", "timeline", "--out", tmp_path, "--id", "x", stdin=[bare]).err.count('no record with the id "x"') == 1
    unscored = {**VIDEO, "predictions": [{"start": 1, "end": 2, "label": "Nodding"}]}
    bad = run("plot", "timeline", "--out", tmp_path, stdin=[unscored])
    assert bad.code == 1 and "field 'predictions[0]' is" in bad.err and bad.err.count("\n") == 1
    several = [{**VIDEO, "id": f"v{i}"} for i in range(6)]
    assert len(run("plot", "timeline", "--out", tmp_path / "more", stdin=several).records) == 8  # the first four


@pytest.mark.parametrize(
    "left, said, colour",
    [
        ({"predictions": VIDEO["predictions"]}, "a/b: 1 prediction", "#0072b2"),
        ({"predictions": VIDEO["predictions"], "segments": []}, "a/b: 1 prediction", "#d55e00"),
        ({"predictions": [], "segments": VIDEO["segments"]}, "a/b: truth above, no prediction below", "#222222"),
        ({"predictions": [], "segments": []}, "a/b: no prediction", ""),
    ],
)
def test_timeline_says_what_there_is(run, tmp_path, left, said, colour):
    drawn = run("plot", "timeline", "--out", tmp_path, stdin=[{"id": "a/b", "duration": 12, **left}])
    assert (drawn.code, drawn.err) == (0, "")
    truth, found = (timeline.bars(left, field) or timeline.bars({}, None) for field in ("segments", "predictions"))
    assert timeline.figure(left, "a/b", truth, found, ".").axes[0].get_title("left") == said
    assert colour in (tmp_path / "timeline-a_b.svg").read_text()


def test_timeline_leaves_room_beside_long_labels(run, tmp_path):
    segments = [{"start": 1, "end": 3, "label": "a" * 120}]
    drawn = run("plot", "timeline", "--out", tmp_path, stdin=[{"id": "v", "segments": segments}])
    assert (drawn.code, drawn.err) == (0, "")


def test_confusion_is_a_matrix_and_its_worst_pairs(run, tmp_path):
    guesses = ["Nodding"] * 4 + ["Bowing head"] * 3 + ["Waving"]
    clips = [{"id": str(i), "label": "Nodding", "domain": "ab"[i % 2], "topk": [[g, 1]]} for i, g in enumerate(guesses)]
    lines = run("score", "--confusion", stdin=[*clips, {**clips[0], "id": "x", "label": "Shrugging"}])
    pairs = [x for x in lines.records if x["metric"] == "confusion" and x["level"] == "action"]
    assert confusion.labels_of(pairs) == dict.fromkeys(["Shrugging"], "Body") | {
        "Nodding": "Head", "Bowing head": "Head", "Waving": "Upper limb",
    }  # fmt: skip
    matrix, _, worst = confusion.figure(pairs, ("action",)).subfigs[0].axes + confusion.figure(pairs, ("action",)).subfigs[1].axes
    assert matrix.get_title("left") == "action: 4 of 9 clips right"
    named = [t.get_text() for t in worst.get_yticklabels()]
    assert named == ["Nodding → Bowing head", "Shrugging → Nodding", "Nodding → Waving"]
    many = [{"id": str(i), "label": 81 - i, "topk": [[80 - i, 1]]} for i in range(0, 60, 2)]  # groups and ids in no order
    pairs82 = [x for x in run("score", "--confusion", stdin=many).records if x.get("level") == "action" and "predicted" in x]
    two = [{"id": str(guess), "label": 0, "topk": [[guess, 1]]} for guess in (81, 60)]
    groups = [x for x in run("score", "--confusion", "--level", "body", stdin=two).records if "predicted" in x]
    assert list(confusion.labels_of(groups[::-1], load_taxonomy("mma82"))) == ["Body", "Head-hand", "Leg-hand"]
    axes = confusion.figure(pairs82, ("action",), load_taxonomy("mma82")).subfigs[0].axes[0]
    assert [int(t.get_text()) for t in axes.get_xticklabels()] == list(range(22, 82))
    assert axes.get_yticklabels()[-1].get_text() == "Scratching feet  81"
    drawn = run("plot", "confusion", "--out", tmp_path, stdin=lines.out)
    ends = [Path(x["figure"]).name for x in drawn.records]
    assert ends == [f"confusion-{level}.{end}" for level in ("action", "body") for end in ("svg", "png")]
    by = run("plot", "confusion", "--out", tmp_path, stdin=run("score", "--confusion", "--by", "domain", stdin=clips).out)
    assert len(by.records) == 8 and "confusion-a-action.svg" in by.out
    perfect = run("score", "--confusion", "--level", "action", stdin=clips[:4])
    assert run("plot", "confusion", "--out", tmp_path, stdin=perfect.out).code == 0
    bad = run("plot", "confusion", "--out", tmp_path, stdin=[{**pairs[0], "n": 1.5}])
    assert bad.code == 1 and "field 'n' is 1.5; expected a number of clips" in bad.err


@pytest.fixture
def films(run, tmp_path):
    """Clips as files in `tmp_path`, two of each of two labels."""
    return run("synth", "--kind", "video", "--clips", 4, "--classes", 2, "--seed", 3, "--videos", tmp_path).records


def test_examples_are_stills_of_a_clip_of_each_label(run, tmp_path, films):
    drawn = run("plot", "examples", "--root", tmp_path, "--out", tmp_path, stdin=films)
    assert drawn.code == 0, drawn.err
    assert [Path(x["figure"]).name for x in drawn.records] == ["examples.svg", "examples.png"]
    first = [clip["label"] for _, clip in chosen(iter(films), (), 8, examples.kind)]
    assert first == list(dict.fromkeys(clip["label"] for clip in films)) and len(first) == 2
    assert list(chosen(iter(films), (films[-1]["id"],), 8, examples.kind)) == [(films[-1]["id"], films[-1])]


def test_stills_of_an_example_are_the_clips_frames(tmp_path, films):
    record = {**films[0], "start": 0.5, "end": 1.5, "emotion": "happy", "actions": ["Nodding", "Waving", "Nodding"]}
    found = examples.example(record, str(tmp_path))
    assert (found.title, found.words) == (["happy"], [films[0]["label"], "Nodding", "Waving"])
    np.testing.assert_allclose(found.times, (np.arange(6) + 0.5) / 6)
    film = cv2.VideoCapture(str(tmp_path / films[0]["video"]))
    frames = [film.read()[1] for _ in range(films[0]["num_frames"])]
    first = int(np.ceil((0.5 + found.times[0]) * films[0]["fps"] - 1e-6))
    shape = found.pictures[0].shape[1::-1]
    expected = cv2.resize(frames[first], shape, interpolation=cv2.INTER_AREA)[..., ::-1]
    assert np.abs(expected.astype(int) - found.pictures[0]).mean() < 3


def test_examples_need_videos(run, tmp_path, films):
    away = run("plot", "examples", "--out", tmp_path, "--root", tmp_path / "x", stdin=films)
    assert away.code == 1 and "(--root)" in away.err and films[0]["video"] in away.err
    unknown = run("plot", "examples", "--out", tmp_path, "--root", tmp_path, "--id", "nobody", stdin=films)
    assert unknown.code == 1 and 'no record with the id "nobody"' in unknown.err
    (tmp_path / "empty.mp4").write_bytes(b"")
    empty = run("plot", "examples", "--out", tmp_path, "--root", tmp_path, stdin=[{"video": "empty.mp4", "label": "Nodding"}])
    assert empty.code == 1 and "empty.mp4" in empty.err and empty.err.count("\n") == 1


def test_letters_that_no_font_has_are_told_in_a_line(run, tmp_path):
    """Linear B, which is not even in fonts with Chinese letters."""
    few = run("plot", "timeline", "--out", tmp_path, stdin=[{**VIDEO, "id": "v𐀀𐀁"}])
    assert few.err.startswith("mma82 plot: no font here has 𐀀 𐀁, so boxes are drawn") and few.err.count("\n") == 1
    many = "".join(map(chr, range(0x10000, 0x1000C))) + "𐀏𐀐"
    assert "𐀋 …, so" in run("plot", "timeline", "--out", tmp_path, stdin=[{**VIDEO, "id": many}]).err
    assert run("plot", "-q", "timeline", "--out", tmp_path, stdin=[{**VIDEO, "id": many}]).err == ""


def test_other_fonts_have_the_letters_that_the_first_lacks(tmp_path, monkeypatch):
    from mma82cli.plots import style

    monkeypatch.setattr(style, "FONTS", ["No Such Font"] + style.FONTS[:1])
    with pytest.warns(UserWarning, match="no font here has ⌒,"):
        list(timeline.draw([{**VIDEO, "id": "⌒"}], str(tmp_path), Options()))
    monkeypatch.setattr(style, "FONTS", style.FONTS + ["STIXGeneral"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(timeline.draw([{**VIDEO, "id": "⌒"}], str(tmp_path), Options()))
