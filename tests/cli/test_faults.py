"""What breaks around a run: it is killed, the disk is full, the folder takes nothing, its input changes, others run beside it.

`tests/FAULTS.md` has the list, with those that other files test.
"""

import gzip
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import ROOT, Result, as_lines
from samples import ANNOTATIONS, TOPK, VIDEOS

MMA82 = str(ROOT / "bin" / "mma82")
MANY = as_lines([{**video, "id": f"v{i}"} for i in range(2000) for video in VIDEOS[:1]])
CROWD = int(os.environ.get("CROWD", "20"))  # processes at once
SMALL = 1 << 16  # bytes: as much as a file may have where the disk is full


def full_disk(room=SMALL):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))


def call(*arguments, **options) -> Result:
    return Result(subprocess.run([MMA82, *map(str, arguments)], capture_output=True, **options))


def one_line(result: Result, *words) -> None:
    assert result.code == 1 and result.err.count("\n") == 1 and result.err.startswith("mma82 "), result.err
    assert all(word in result.err for word in words), result.err


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_killed_at_random_moments_an_output_is_the_old_one_or_the_new_one(tmp_path, name):
    source, out = tmp_path / "in.jsonl", tmp_path / name
    source.write_bytes(MANY)
    begin = time.monotonic()
    assert call("suppress", "-o", out, source).code == 0
    lasts, new, old = time.monotonic() - begin, out.read_bytes(), b"the old one\n"
    rng = random.Random(0)
    kept = 0
    for _ in range(6):
        out.write_bytes(old)
        process = subprocess.Popen([MMA82, "suppress", "-o", str(out), str(source)], stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.1, 0.9) * lasts)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert out.read_bytes() in (old, new)
        kept += out.read_bytes() == old
    assert kept  # it was killed in time at least once


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_end_it_leaves_nothing_behind(tmp_path, signal_):
    out = tmp_path / "out.jsonl"
    out.write_text("the old one\n")
    command = [MMA82, "suppress", "-o", str(out)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(MANY)
    process.stdin.flush()
    while len(os.listdir(tmp_path)) < 2:
        time.sleep(0.01)
    process.send_signal(signal_)
    assert process.wait(30) == 128 + signal_ and process.stderr.read() == b""
    assert out.read_text() == "the old one\n" and os.listdir(tmp_path) == ["out.jsonl"]


def test_under_nohup_the_end_of_a_terminal_is_nothing(tmp_path):
    command = ["nohup", MMA82, "suppress", "-o", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(as_lines(VIDEOS))
    process.stdin.flush()
    while not os.listdir(tmp_path):
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    process.communicate()
    assert process.returncode == 0 and os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("arguments", [["suppress"], ["convert", "--to", "activitynet"], ["suppress", "--topk", "2"]])
def test_a_disk_that_fills_up_is_one_line_and_harms_nothing(tmp_path, arguments):
    out = tmp_path / "out.json"
    out.write_text("the old one\n")
    one_line(call(*arguments, "-o", out, input=MANY, preexec_fn=full_disk), f"{out}: File too large")
    assert out.read_text() == "the old one\n" and os.listdir(tmp_path) == ["out.json"]


CLIPS = [{"id": f"c{i}", "subject": f"s{i % 9}", "label": i % 4} for i in range(60)]
BESIDE = [
    (["merge-annotations", "--agreement"], ANNOTATIONS),
    (["make-splits", "--publish"], CLIPS),
    (["make-splits", "--report"], CLIPS),
]


@pytest.mark.parametrize("name", ["beside.jsonl", "beside.jsonl.gz"])
@pytest.mark.parametrize(("arguments", "records"), BESIDE, ids=[" ".join(words[::len(words) - 1]) for words, _ in BESIDE])
def test_a_full_disk_under_a_file_beside_stdout_names_that_file(tmp_path, arguments, records, name):
    beside = tmp_path / name
    done = call(*arguments, beside, "-q", input=as_lines(records), preexec_fn=lambda: full_disk(100))
    one_line(done, f"mma82 {arguments[0]}: {beside}: File too large")
    assert not os.listdir(tmp_path)


def test_a_disk_that_fills_up_is_one_line_of_a_figure_and_leaves_the_old_one(tmp_path):
    labels = call("labels").out.encode()
    (tmp_path / "taxonomy.svg").write_text("the old one")
    done = call("plot", "taxonomy", "--out", tmp_path, input=labels, preexec_fn=full_disk)
    one_line(done, f"{tmp_path}/taxonomy.svg: File too large")
    assert (tmp_path / "taxonomy.svg").read_text() == "the old one" and os.listdir(tmp_path) == ["taxonomy.svg"]


@pytest.mark.parametrize("room", [100, 1 << 13])
@pytest.mark.parametrize("kind", ["video", "detection"])
def test_a_full_disk_under_rendered_videos_is_one_line(tmp_path, kind, room):
    synth = ["synth", "-q", "--kind", kind, "--clips", "1", "--subjects", "1", "--videos", tmp_path]
    done = call(*synth, preexec_fn=lambda: full_disk(room))
    one_line(done, f"mma82 synth: {tmp_path}/", "expected room on the disk")
    assert not os.listdir(tmp_path)


def test_a_full_disk_under_packs_of_frames_is_told_at_once(tmp_path, films):
    clips = [{"video": "a.mp4", "start": i / 10, "end": i / 10 + 0.2, "label": 0, "split": "train"} for i in range(9)]
    train = ["train-rec", "--recipe", "gc-tsm-tiny", "--out", tmp_path / "run", "--cache", tmp_path / "packs", "--root", films]
    done = call(*train, input=as_lines(clips), preexec_fn=lambda: full_disk(100))
    one_line(done, f"mma82 train-rec: {tmp_path}/packs: File too large; expected room for decoded frames")
    assert os.listdir(tmp_path) == ["packs"] and not os.listdir(tmp_path / "packs")


def test_a_resumed_file_goes_on_when_there_is_room_again(tmp_path):
    films = call("synth", "--kind", "video", "--clips", "4", "--classes", "2", "--subjects", "1", "--videos", tmp_path).out
    clips = as_lines([{**json.loads(line), "note": "x" * 9000} for line in films.splitlines()])
    base = ["extract-skeleton", "-q", "--model", "dots", "--jobs", "1", "--root", tmp_path]
    whole = call(*base, "-o", tmp_path / "whole.jsonl", input=clips)
    assert whole.code == 0, whole.err
    out = tmp_path / "out.jsonl"
    stopped = call(*base, "--resume", out, input=clips, preexec_fn=full_disk)
    one_line(stopped, f"{out}: File too large")
    assert 0 < out.stat().st_size <= SMALL
    assert call(*base, "--resume", out, input=clips).code == 0
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_folder_that_takes_nothing_is_one_line(tmp_path):
    for place in ("/proc/out.jsonl", tmp_path / "none" / "out.jsonl", tmp_path / "file" / "out.jsonl"):
        (tmp_path / "file").write_text("")
        one_line(call("suppress", "-o", place, input=MANY), str(place))
    resumed = call("extract-skeleton", "--model", "dots", "--resume", "/proc/out.jsonl", input=b'{"video":"a.mp4"}\n')
    one_line(resumed, "/proc/out.jsonl")
    one_line(call("merge-annotations", "--agreement", "/proc/a.jsonl", input=as_lines(ANNOTATIONS)), "/proc/a.jsonl")


def test_a_file_that_changes_while_it_is_read(tmp_path):
    """It grows, is cut off or written anew under the reader: what comes is records, or one line."""
    path, ended = tmp_path / "in.jsonl", threading.Event()
    data = as_lines(TOPK) * 400
    path.write_bytes(data)

    def meddle():
        rng = random.Random(0)
        while not ended.is_set():
            kind = rng.randrange(4)
            with open(path, "r+b") as file:
                if kind == 0:
                    file.truncate(rng.randrange(len(data)))
                elif kind == 1:
                    file.seek(rng.randrange(len(data)))
                    file.write(b'{"id":')
                elif kind == 2:
                    file.seek(0, 2)
                    file.write(data[:99999])
                else:
                    file.write(data)
            time.sleep(0.002)

    thread = threading.Thread(target=meddle)
    thread.start()
    try:
        for command in ("suppress", "stats", "make-splits", "validate") * 2:
            done = call(command, path)
            if done.code == 0 or command == "validate":
                assert all(json.loads(line) for line in done.out.splitlines())
            else:
                one_line(done, f"mma82 {command}: {path}:")
    finally:
        ended.set()
        thread.join()


def test_gzip_that_is_cut_off_is_one_line(tmp_path):
    path = tmp_path / "in.jsonl.gz"
    scored = {**VIDEOS[0], "label": 3, "scores": [1 / 82] * 82}
    packed = gzip.compress(as_lines([{**scored, "id": f"v{i}"} for i in range(2000)]))
    for share in (0.1, 0.5, 0.99):
        path.write_bytes(packed[: int(share * len(packed))])
        for command in (["suppress"], ["score"], ["score", "--metric", "mca"], ["score", "--metric", "map"], ["stats"]):
            one_line(call(*command, "-o", tmp_path / "out", path), f"{path}: damaged gzip data")


RACE = """
import os, sys
sys.path.insert(0, {root!r})
import numpy as np
from mma82cli.training.skeleton import cache
class Store:
    def __len__(self): return 1
    def arrays(self):
        joints = np.full((5000, 17, 3), 7, np.int16)
        return {{"joints": joints, **{{n: np.arange(3) for n in ("frames", "persons", "labels", "shapes", "origins", "parts")}}}}
children = []
for _ in range({many}):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for round in range(20):
                key = f"k{{round}}"
                if cache.load({folder!r}, key) is None:
                    cache.save({folder!r}, key, {{"train": Store()}}, {{"said": round}})
                stores, said = cache.load({folder!r}, key)
                assert said == {{"said": round}} and (stores["train"].rows == 7).all()
            status = 0
        finally:
            os._exit(status)
    children.append(child)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def test_many_processes_share_a_cache_of_joints(tmp_path):
    code = RACE.format(root=str(ROOT), folder=str(tmp_path), many=CROWD)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(os.listdir(tmp_path)) == sorted(f"joints-k{i}" for i in range(20))


PACKS = """
import os, sys
sys.path.insert(0, {root!r})
from mma82cli.video.cache import Cache
from mma82cli.video.clips import Clip
children = []
for _ in range({many}):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            packs = Cache({folder!r}, 32)
            clips = [Clip({video!r}, i / 10, i / 10 + 0.2) for i in range(10)]
            for clip in clips:
                packs.make(clip)
                assert all(frame is not None for frame in packs.pick(clip, range(packs.count(clip))))
            status = 0
        finally:
            os._exit(status)
    children.append(child)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def test_many_processes_share_a_cache_of_frames(tmp_path, films):
    code = PACKS.format(root=str(ROOT), folder=str(tmp_path), many=CROWD, video=str(films / "a.mp4"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(os.listdir(tmp_path)) == 10 and all(name.endswith(".jpegs") for name in os.listdir(tmp_path))


def test_many_runs_write_one_file(tmp_path):
    """The last one wins, and what is there is one of them, whole."""
    out = tmp_path / "out.jsonl"
    inputs = [as_lines([{**video, "id": f"{run}-{i}"} for i in range(200) for video in VIDEOS[:1]]) for run in range(CROWD // 2)]
    expected = {call("suppress", input=data).out for data in inputs[:1]}
    runs = []
    for number, data in enumerate(inputs):
        (tmp_path / f"in{number}").write_bytes(data)
        runs.append(subprocess.Popen([MMA82, "suppress", "-o", str(out), str(tmp_path / f"in{number}")]))
    assert {run.wait() for run in runs} == {0}
    first = json.loads(out.read_text().splitlines()[0])["id"].split("-")[0]
    assert out.read_text() == next(iter(expected)).replace('"0-', f'"{first}-')
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
