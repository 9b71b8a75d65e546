"""`mma82 extract-skeleton` as a user runs it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from conftest import ROOT, as_lines
from tiny_onnx import write_constant

NEW = ["layout", "keypoints", "fps", "width", "height", "num_frames", "model"]


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    """A folder with three small videos of 3 s of noise, in which the network sees something, and one where nobody is."""
    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    for name in "abc":
        writer = cv2.VideoWriter(str(folder / f"{name}.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (96, 64))
        for _ in range(30):
            writer.write(rng.integers(0, 255, (64, 96, 3), np.uint8))
        writer.release()
    writer = cv2.VideoWriter(str(folder / "empty.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (96, 64))
    for i in range(30):
        writer.write(np.full((64, 96, 3), 40 + i, np.uint8))
    writer.release()
    (folder / "text.mp4").write_text("no video\n")
    return folder


@pytest.fixture(scope="session")
def clips():
    return [
        {"id": f"{name}{i}", "video": f"{name}.mp4", "start": i / 5, "end": i / 5 + 0.4, "label": i}
        for name in "abc"
        for i in range(8)
    ]


@pytest.fixture(scope="session")
def whole(run, films, clips):
    """What an unbroken run on one process gives."""
    done = run("extract-skeleton", "--model", "dots", "--root", films, "--jobs", 1, stdin=clips)
    assert done.code == 0, done.err
    return done


def test_dots_on_real_files_through_the_whole_command(run, shared):
    pose = shared / "goldens" / "pose"
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("OpenCV alone does not run this network")
    truth = np.load(pose / "dot_truth.npy")
    records = [
        {"video": "dot_ffv1.avi", "box": [100, 20, 380, 590], "mine": {"a": [1]}, "label": "x"},
        {"video": "dot_ffv1.avi", "start": 0.2, "end": 0.5, "box": [100, 20, 380, 590]},
        {"video": "dot_mp4v.mp4", "start": 0.1, "end": 0.2},
    ]
    done = run("extract-skeleton", "--backend", "onnx", "--model", pose / "dot_simcc.onnx", "--root", pose, stdin=records)
    assert done.code == 0
    assert "no side-car" in done.err and "whole frame" in done.err and len(done.err.splitlines()) == 2
    for record, out, first, limit in zip(records, done.records, (0, 6, 3), (0.2, 0.2, 0.4), strict=True):
        assert list(out)[: len(record) + 7] == list(record) + NEW
        assert {k: out[k] for k in record} == record
        joints = np.array(out["keypoints"]).reshape(-1, 17, 3)
        assert out["num_frames"] == len(joints) and (out["fps"], out["width"], out["height"]) == (30, 480, 600)
        assert np.sqrt(((joints[..., :2] - truth[first : first + len(joints)]) ** 2).mean()) <= limit
    assert [r["num_frames"] for r in done.records] == [20, 9, 3]
    assert done.records[0]["model"].startswith("dot_simcc@sha256:") and "warnings" not in done.records[0]


def test_order_and_frames(whole, clips):
    assert [r["id"] for r in whole.records] == [c["id"] for c in clips]
    assert {r["num_frames"] for r in whole.records} == {4}
    assert any(any(r["keypoints"]) for r in whole.records)


def test_nobody_there(run, films):
    done = run("extract-skeleton", "--model", "dots", "--root", films, stdin=[{"video": "empty.mp4"}])
    record = done.records[0]
    assert done.code == 0 and record["keypoints"] == [None] * 30 and record["warnings"] == ["no person found"]
    assert done.err == "mma82 extract-skeleton: <stdin>:1: empty.mp4: no person found\n"


def test_jobs_and_where_the_clips_lie_change_no_byte(run, films, clips, whole):
    two = run("extract-skeleton", "--model", "dots", "--root", films, "--jobs", 2, stdin=clips)
    assert two.out == whole.out
    mixed = run("extract-skeleton", "-q", "--model", "dots", "--root", films, "--jobs", 2, stdin=clips[::-1])
    assert mixed.out.splitlines() == whole.out.splitlines()[::-1] and mixed.err == ""


def test_shards_are_the_whole(run, films, clips, whole):
    parts = [run("extract-skeleton", "--model", "dots", "--root", films, "--shard", f"{i}/3", stdin=clips).out for i in (1, 2, 3)]
    assert all(0 < part.count("\n") < len(clips) for part in parts)
    assert sorted("".join(parts).splitlines()) == sorted(whole.out.splitlines())


def test_resume_after_kill_9_is_the_unbroken_run(run, films, clips, whole, tmp_path):
    source, out = tmp_path / "clips.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(as_lines(clips))
    command = [ROOT / "bin" / "mma82", "extract-skeleton", "-q", "--model", "dots", "--root", films, "--jobs", "2"]
    command = [*map(str, command), "--resume", str(out), str(source)]
    for lines in (1, 9):
        process = subprocess.Popen(command)
        while process.poll() is None and (not out.exists() or out.read_bytes().count(b"\n") < lines):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert whole.out.encode().startswith(out.read_bytes())
    with open(out, "ab") as file:
        file.write(b'{"id":"c7","video":"c.mp4","keyp')
    done = run(*command[1:])
    assert (done.code, done.out, done.err) == (0, "", "")
    assert out.read_text() == whole.out
    stamp = os.stat(out).st_mtime_ns
    assert run(*command[1:]).code == 0
    assert out.read_text() == whole.out and os.stat(out).st_mtime_ns == stamp


def test_resume_refuses_what_it_can_not_continue(run, films, clips, tmp_path):
    base = ["extract-skeleton", "--model", "dots", "--root", films, "--resume"]
    other = tmp_path / "other.jsonl"
    other.write_text('{"id":"a0","video":"a.mp4","model":"another@sha256:0"}\n')
    done = run(*base, other, stdin=clips[:1])
    assert done.code == 1 and f"{other}:1: 'model' is" in done.err
    title = run("extract-skeleton", "-q", "--model", "dots", "--root", films, stdin=clips[:1]).records[0]["model"]
    face = tmp_path / "face.jsonl"
    face.write_text(json.dumps({"id": "a0", "video": "a.mp4", "model": title, "layout": "face68"}) + "\n")
    done = run(*base, face, stdin=clips[:1])
    assert done.code == 1 and f"{face}:1: 'layout' is \"face68\"; expected \"coco17\"" in done.err
    done = run(*base, face, "--decode", "argmax", stdin=clips[:1])
    assert done.code == 1 and "+argmax" in done.err
    done = run(*base, other, "-o", tmp_path / "x", stdin=clips[:1])
    assert done.code == 2 and "-o" in done.err and not (tmp_path / "x").exists()
    assert run(*base, tmp_path / "x.gz", stdin=clips[:1]).code == 2
    assert other.read_text().count("\n") == 1


def test_a_public_network_that_can_not_be_fetched_is_one_line(run, tmp_path):
    share_dir = tmp_path / "share"
    shutil.copytree(ROOT / "share" / "mma82", share_dir)
    (share_dir / "models" / "public.toml").write_text('[rtmpose-m]\nurl = "http://127.0.0.1:9/m.zip"\nmember = "end2end.onnx"\n')
    where = {"MMA82_SHARE": str(share_dir), "MMA82_CACHE": str(tmp_path / "cache")}
    done = run("extract-skeleton", "--model", "rtmpose-m", stdin=[{"video": "a.mp4"}], env=where)
    assert done.code == 1 and done.out == "" and done.err.count("\n") == 1
    place = tmp_path / "cache" / "rtmpose-m.onnx"
    assert f"offline, put end2end.onnx (from m.zip) at {place}" in done.err
    shutil.copy(share_dir / "models" / "dots.onnx", place)
    done = run("extract-skeleton", stdin=[], env=where)  # no flags: a production model that is there
    assert done.code == 0 and "rtmpose-m: sha256 " in done.err and "on trust" in done.err


def test_bad_records_are_named_and_harm_nothing_else(run, films):
    good = {"id": "good", "video": "a.mp4", "start": 0, "end": 0.2}
    bad = [
        ({"video": "none.mp4"}, ["none.mp4", "No such file"]),
        ({"video": "text.mp4"}, ["text.mp4", "can be opened"]),
        ({"video": "."}, ["directory"]),
        ({"id": "x"}, ["'video' is missing", "a string"]),
        ({"video": "a.mp4", "start": 9, "end": 10}, ["9-10 s", "lasts 3 s"]),
        ({"video": "a.mp4", "start": 2, "end": 100}, ["2-100 s", "lasts 3 s"]),
        ({"video": "a.mp4", "start": 2, "end": 1}, ["'end' is 1", "after"]),
        ({"video": "a.mp4", "start": -1, "end": 1}, ["'start' is -1"]),
        ({"video": "a.mp4", "start": 1.01, "end": 1.02}, ["1.01-1.02", "at least a frame"]),
        ({"video": "a.mp4", "box": [5, 5, 1, 9]}, ["'box' is [5, 5, 1, 9]", "x1 < x2"]),
        ({"video": "a.mp4", "box": "all"}, ["'box' is"]),
    ]
    records = [good, *(r for r, _ in bad), {**good, "id": "last"}]
    done = run("extract-skeleton", "-q", "--on-error", "skip", "--model", "dots", "--root", films, stdin=records)
    assert done.code == 1
    assert [r["id"] for r in done.records] == ["good", "last"]
    told = [json.loads(line) for line in done.err.splitlines()]
    assert [t["line"] for t in told] == list(range(2, 2 + len(bad)))
    for (record, words), fault in zip(bad, told, strict=True):
        assert fault["record"] == record and fault["error"].startswith(f"<stdin>:{fault['line']}: ")
        assert all(word in fault["error"] for word in words), fault["error"]
    done = run("extract-skeleton", "-q", "--model", "dots", "--root", films, stdin=records)
    assert done.code == 1 and len(done.records) == 1
    assert len(done.err.splitlines()) == 1 and done.err.startswith("mma82 extract-skeleton: <stdin>:2: ")
    done = run("extract-skeleton", "-q", "--model", "dots", "--root", films, stdin=as_lines([good]) + b"{oops\n")
    assert done.code == 1 and len(done.records) == 1 and "<stdin>:2:" in done.err


def test_a_clip_that_ends_a_little_late_is_kept_with_a_warning(run, films):
    done = run("extract-skeleton", "--model", "dots", "--root", films, stdin=[{"video": "a.mp4", "start": 2, "end": 3.5}])
    assert done.code == 0 and done.records[0]["num_frames"] == 10
    assert "the clip ends at 3.5 s, its video at 3 s" in done.records[0]["warnings"]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--model", "nothing"], "built in: dots"),
        (["--model", "nothing"], "public: rtmpose-t, rtmpose-s"),
        (["--model", "dots", "--detector", "nothing"], "public: rtmpose-t"),
        (["--backend", "tflite"], "--model FILE.tflite"),
        (["--backend", "tflite", "--model", "x.tflite"], "No such file"),
        (["--backend", "mediapipe", "--detector", "yolox-m"], "finds the person itself"),
        (["--backend", "mediapipe", "--channel-order", "bgr"], "--channel-order"),
        (["--model", "nothing.onnx"], "No such file"),
        (["--backend", "onnx"], "--model NAME|FILE"),
        (["--backend", "mediapipe", "--model", "dots"], "--model"),
        (["--model", "dots", "--layout", "jhmdb15"], "coco17"),
        (["--model", "dots", "--shard", "4/3"], "--shard"),
        (["--model", "dots", "--device", "cuda"], "cuda"),
        (["--model", "dots", "--jobs", "0"], "--jobs"),
    ],
)
def test_wrong_usage(run, options, word):
    done = run("extract-skeleton", *options)
    assert done.code == 2 and done.out == "" and len(done.err.splitlines()) == 1 and word in done.err, done.err


def test_no_estimator_names_the_extras(run):
    if importlib.util.find_spec("mediapipe"):
        pytest.skip("mediapipe is installed")
    for options in ([], ["--backend", "mediapipe"]):
        done = run("extract-skeleton", *options, stdin=[{"video": "a.mp4"}], env={"MMA82_CACHE": "/nowhere"})
        assert done.code == 2 and "mma82[mediapipe]" in done.err and len(done.err.splitlines()) == 1


def test_nothing_in_nothing_out(run):
    done = run("extract-skeleton", "--model", "dots")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_a_record_leaves_before_the_next_comes_and_a_closed_pipe_ends_quietly(films, clips):
    command = [str(ROOT / "bin" / "mma82"), "extract-skeleton", "-q", "--model", "dots", "--root", str(films), "--jobs", "2"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for clip in clips[:3]:
        process.stdin.write(as_lines([clip]))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == clip["id"]
    process.stdout.close()
    process.stdin.write(as_lines(clips[3:6]))
    process.stdin.flush()  # and stdin stays open
    assert process.wait(timeout=60) in (0, 141)
    assert process.stderr.read() == b""


def test_work_is_done_without_torch_and_the_parent_without_opencv(films, clips):
    code = (
        "import sys\nfrom mma82cli.cli import main\n"
        f"status = main(['extract-skeleton','-q','--model','dots','--root',{str(films)!r}])\n"
        "print(status, sorted({'torch','cv2','numpy','sklearn'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=as_lines(clips[:1]), capture_output=True, cwd=ROOT)
    assert done.stderr.decode().strip() == "0 []" and done.stdout.count(b"\n") == 1


# -- who is looked at -------------------------------------------------------------------------------------------


def network(folder, name, size, **outputs):
    """A network with constant answers; the test is skipped where nothing runs it."""
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    return write_constant(folder / f"{name}.onnx", size, **outputs)


def test_a_detector_s_box_is_looked_at_and_a_record_s_own_goes_before(run, films, tmp_path):
    boxes = np.array([[[100, 60, 300, 260, 0.9], [0, 0, 20, 20, 0.5]]])  # of an input of 416, in which the film is 4.33 times
    detector = network(tmp_path, "people", (416, 416), dets=boxes, labels=np.zeros((1, 2)))
    x, y = np.zeros((1, 17, 384)), np.zeros((1, 17, 512))
    x[0, :, 192] = y[0, :, 256] = 1  # every joint in the middle of the box
    pose = network(tmp_path, "middle", (192, 256), simcc_x=x, simcc_y=y)
    records = [{"video": "a.mp4"}, {"video": "a.mp4", "box": [10, 10, 50, 30]}]
    done = run("extract-skeleton", "-q", "--root", films, "--model", pose, "--detector", detector, stdin=records)
    assert done.code == 0, done.err
    scale = 416 / 96
    for record, (left, top) in zip(done.records, [(200 / scale, 160 / scale), (30, 20)], strict=True):
        joints = np.array(record["keypoints"]).reshape(30, 17, 3)
        assert np.allclose(joints[..., 0], left, atol=0.1) and np.allclose(joints[..., 1], top, atol=0.1)
        assert "warnings" not in record
        assert [m.split("@")[0] for m in record["model"].split("+")] == ["middle", "people"]
    whole = run("extract-skeleton", "--root", films, "--model", pose, "--detector", "none", stdin=records)
    assert "whole frame" in whole.records[0]["warnings"][0] and "whole frame" in whole.err
    wrong = run("extract-skeleton", "--root", films, "--model", pose, "--detector", pose, stdin=records)
    assert wrong.code == 1 and "not a network that finds boxes" in wrong.err


def test_rtmo_follows_the_main_person_and_says_who_is_missing(run, films, tmp_path):
    boxes = np.array([[[0, 0, 40, 60, 0.9], [200, 100, 500, 400, 0.8]]])
    joints = np.full((1, 2, 17, 3), 0.9)
    joints[0, 1, :, :2] = 320, 213
    model = network(tmp_path, "rtmo", (640, 640), dets=boxes, keypoints=joints)
    record = run("extract-skeleton", "-q", "--root", films, "--model", model, stdin=[{"video": "a.mp4"}]).records[0]
    found = np.array(record["keypoints"]).reshape(30, 17, 3)
    assert np.allclose(found[..., :2], (48, 31.95), atol=0.02) and "warnings" not in record
    nobody = network(tmp_path, "nobody", (640, 640), dets=boxes * 0, keypoints=joints)
    record = run("extract-skeleton", "-q", "--root", films, "--model", nobody, stdin=[{"video": "a.mp4"}]).records[0]
    assert record["keypoints"] == [None] * 30 and record["warnings"] == ["no person found"]


def test_the_layout_picks_from_a_whole_body_network(run, films, tmp_path):
    x, y = np.zeros((1, 133, 384)), np.zeros((1, 133, 512))
    x[0, np.arange(133), np.arange(133)] = y[0, np.arange(133), 100] = 1
    model = network(tmp_path, "whole", (192, 256), simcc_x=x, simcc_y=y)
    base = ["extract-skeleton", "-q", "--root", films, "--model", model]
    clip = [{"video": "a.mp4", "start": 0, "end": 0.2, "box": [0, 0, 90, 60]}]
    body, whole = (run(*base, "--layout", layout, stdin=clip).records[0] for layout in ("coco17", "coco133"))
    assert len(body["keypoints"][0]) == 51 and len(whole["keypoints"][0]) == 399
    assert body["keypoints"][0] == whole["keypoints"][0][:51] and whole["layout"] == "coco133"
    assert run(*base, "--layout", "jhmdb15", stdin=clip).code == 2


def test_refined_joints_are_near_the_network_s_and_named(run, films):
    base = ["extract-skeleton", "-q", "--root", films, "--model", "dots"]
    clip = [{"video": "a.mp4", "start": 0, "end": 1}]
    raw, refined = run(*base, stdin=clip).records[0], run(*base, "--refine", "flow", stdin=clip).records[0]
    assert refined["model"] == raw["model"] + "+flow"
    assert [f is None for f in refined["keypoints"]] == [f is None for f in raw["keypoints"]]
    assert {k: v for k, v in raw.items() if k not in ("keypoints", "model")}.items() <= refined.items()


# -- live -------------------------------------------------------------------------------------------------------


def test_a_stream_comes_out_frame_by_frame(run, films, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "s.mkv"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (96, 64))
    rng = np.random.default_rng(0)
    for _ in range(12):
        writer.write(rng.integers(0, 255, (64, 96, 3), np.uint8))
    writer.release()
    pipe = tmp_path / "camera"
    os.mkfifo(pipe)
    source = subprocess.Popen(["cp", str(tmp_path / "s.mkv"), str(pipe)])
    done = run("extract-skeleton", "--live", "--model", "dots", stdin=[{"video": str(pipe), "mine": 1}], timeout=60)
    assert source.wait() == 0 and done.code == 0 and done.err == ""
    whole = run("extract-skeleton", "-q", "--model", "dots", stdin=[{"video": str(tmp_path / "s.mkv")}]).records[0]
    assert [r["time"] for r in done.records] == pytest.approx([i / 10 for i in range(12)])
    assert [r["keypoints"][0] for r in done.records] == whole["keypoints"]
    assert all(r["mine"] == 1 and r["num_frames"] == 1 and r["width"] == 96 for r in done.records)


def test_live_with_nobody_there_and_with_options_that_do_not_fit(run, tmp_path):
    done = run("extract-skeleton", "--live", "--model", "dots", stdin=[{"video": str(tmp_path / "none")}])
    assert done.code == 1 and done.err.count("\n") == 1 and "no stream that can be opened" in done.err
    for options in (["--resume", tmp_path / "x"], ["--refine", "flow"], ["--shard", "1/2"]):
        assert run("extract-skeleton", "--live", "--model", "dots", *options).code == 2


# -- real files --------------------------------------------------------------------------------------------------


def test_edge_files_give_what_the_manifest_says(run, shared, jsonl):
    root = shared / "real" / "video"
    files = [r for r in jsonl(root / "manifest.jsonl") if r["file"].startswith("edge/")]
    stdin = [{"video": r["file"]} for r in files]
    done = run("extract-skeleton", "--on-error", "skip", "--model", "dots", "--root", root, "--jobs", 2, stdin=stdin)
    assert done.code == 1
    found = {r["video"]: r for r in done.records}
    assert set(found) == {r["file"] for r in files if r["frames"]}
    for entry in files:
        if not entry["frames"]:
            fault = [line for line in done.err.splitlines() if entry["file"] in line]
            assert len(fault) == 1 and json.loads(fault[0])["record"] == {"video": entry["file"]}
            continue
        record = found[entry["file"]]
        assert record["num_frames"] == len(record["keypoints"]) == entry["frames"]
        assert (record["fps"], record["width"], record["height"]) == (entry["fps"], entry["width"], entry["height"])
        cut = [w for w in record.get("warnings", []) if w.startswith("truncated")]
        expected = f"truncated: {entry['frames']}/{entry['header_frames']} frames can be decoded"
        assert cut == ([expected] if entry["frames"] < entry["header_frames"] - 1 else [])
        assert sum(entry["file"] in line for line in done.err.splitlines()) <= 1
    assert "AV01" in done.err
    assert len(done.err.splitlines()) <= len(files)


def test_times_are_given_where_the_rate_varies(run, shared):
    root = shared / "real" / "video"
    clips = [{"video": f"asl/{name}.mkv"} for name in ("brother", "eat")]
    done = run("extract-skeleton", "-q", "--model", "dots", "--root", root, stdin=clips)
    varies, even = done.records
    assert "times" not in even
    assert len(varies["times"]) == varies["num_frames"] == 65 and varies["times"][:3] == [0.0, 0.067, 0.1]
    assert list(varies)[: len(NEW) + 1] == ["video", *NEW[:-1], "times"] and varies["model"]


def test_mediapipe_finds_the_people_of_real_videos(run, shared):
    if importlib.util.find_spec("mediapipe") is None:
        pytest.skip("mediapipe is not installed")
    root = shared / "real" / "video"
    videos = ["asl/milk.mkv", "ma52/0019_02_0078.mp4", "asl/milk.mkv"]
    done = run("extract-skeleton", "--jobs", 1, "--root", root, stdin=[{"video": v} for v in videos])
    assert done.code == 0 and done.err == ""
    frames = [frame for r in done.records for frame in r["keypoints"]]
    assert sum(frame is not None for frame in frames) >= 0.95 * len(frames)
    assert done.records[0] == done.records[2]
    for record in done.records:
        joints = np.array(record["keypoints"]).reshape(-1, 17, 3)
        nose, shoulders = joints[:, 0], joints[:, 5:7]
        assert (nose[:, 1] < shoulders[..., 1].min(1)).all()
        assert (shoulders[:, 0, 0] > shoulders[:, 1, 0]).all()  # they face the camera: left is on the right
