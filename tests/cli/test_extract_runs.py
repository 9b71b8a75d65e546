"""`mma82 extract-skeleton` on many clips: processes, shards, resuming, streams."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, as_lines, write_film


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


def test_order_and_frames(whole, clips):
    assert [r["id"] for r in whole.records] == [c["id"] for c in clips]
    assert {r["num_frames"] for r in whole.records} == {4}
    assert any(any(r["keypoints"]) for r in whole.records)


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


def test_a_stream_comes_out_frame_by_frame(run, films, tmp_path):
    rng = np.random.default_rng(0)
    write_film(tmp_path / "s.mkv", (rng.integers(0, 255, (64, 96, 3), np.uint8) for _ in range(12)))
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
    for options in (["--resume", tmp_path / "x"], ["--refine", "flow"], ["--shard", "1/2"], ["--jobs", "2"]):
        assert run("extract-skeleton", "--live", "--model", "dots", *options).code == 2
