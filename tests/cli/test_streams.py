"""What every command does with streams, errors and signals, whatever it does with records."""

import contextlib
import fcntl
import gzip
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import time

import pytest
from conftest import ROOT, as_lines

from mma82cli.cli import COMMANDS

MMA82 = str(ROOT / "bin" / "mma82")
STRANGE = {"zeta": [1, {"a": None}], "π": "é"}
ANNOTATIONS = [
    {"video": f"v{i}", "start": 1.0 + k / 10, "end": 2.0, "label": "Nodding", "annotator": f"a{k}", **STRANGE}
    for i in range(30)
    for k in range(3)
]
CLIPS = [{**STRANGE, "id": f"c{i}", "subject": f"s{i % 9}", "label": i % 4} for i in range(60)]
FOUND = [{"start": 1.0, "end": 2.5, "label": "Nodding", "score": 0.9}, {"start": 1.25, "end": 3.0, "label": 6, "score": 0.5}]
VIDEOS = [{**STRANGE, "id": f"v{i}", "predictions": FOUND} for i in range(20)]
FILTERS = [(["make-splits"], CLIPS), (["merge-annotations"], ANNOTATIONS), (["suppress"], VIDEOS)]


def one_line(result, *words):
    assert result.err.count("\n") == 1 and "Traceback" not in result.err, result.err
    for word in words:
        assert word in result.err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_quick_and_complete(run, command):
    result = run(command, "--help", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert result.code == 0 and "Example:" in result.out and f"mma82 {command}" in result.out
    modules = {line.rsplit("|", 1)[-1].strip() for line in result.err.splitlines()}
    assert not modules & {"torch", "cv2", "numpy", "sklearn", "scipy", "onnxruntime", "mediapipe"}
    assert run("help", command).out == result.out


def test_version_and_help_import_no_typer(run):
    for option in ("--version", "--help"):
        result = run(option, env={"PYTHONPROFILEIMPORTTIME": "1"})
        modules = {line.rsplit("|", 1)[-1].strip() for line in result.err.splitlines()}
        assert "mma82cli.cli" in modules and not modules & {"typer", "numpy", "orjson", "tqdm"}
    assert [line.split()[0] for line in run("--help").out.split("Commands:\n")[1].split("\n\n")[0].splitlines()] == list(COMMANDS)


ENDLESS = [["cut", "--max", "inf"], ["merge-annotations", "--min-duration", "inf"], ["diagnose", "--tiou", "0.1:0.9:1e-12"]]


@pytest.mark.parametrize("arguments", [[], ["scroe"], ["--nope"], ["score", "--nope"], ["score", "--metric", "nope"], *ENDLESS])
def test_wrong_usage_is_status_2(run, arguments):
    result = run(*arguments)
    assert result.code == 2 and result.out == "" and "Traceback" not in result.err
    assert len(result.err.splitlines()) <= 2 and "mma82" in result.err


@pytest.mark.parametrize(("command", "records"), FILTERS)
def test_the_ways_in_are_equal(run, tmp_path, command, records):
    data = as_lines(records)
    half = len(records) // 2
    (tmp_path / "whole").write_bytes(data)
    (tmp_path / "a").write_bytes(as_lines(records[:half]))
    (tmp_path / "b.gz").write_bytes(gzip.compress(as_lines(records[half:])))
    expected = run(*command, stdin=data)
    assert expected.code == 0 and expected.records
    odd = b"\xef\xbb\xbf" + b"\r\n\r\n".join(data.splitlines())
    for result in (
        run(*command, tmp_path / "whole"),
        run(*command, "-", stdin=data),
        run(*command, stdin=gzip.compress(data)),
        run(*command, tmp_path / "a", tmp_path / "b.gz"),
        run(*command, tmp_path / "a", "-", stdin=as_lines(records[half:])),
        run(*command, stdin=odd),
    ):
        assert (result.code, result.out) == (0, expected.out), result.err
    for name in ("plain", "zipped.gz"):
        assert run(*command, "-o", tmp_path / name, stdin=data).out == ""
    assert (tmp_path / "plain").read_text() == expected.out == gzip.decompress((tmp_path / "zipped.gz").read_bytes()).decode()


BAD = [
    (b'{"id":"a"\n', ":1:"),
    (b'\n\n{"id": nope}\n', ":3:"),
    (b"[1]\n", ":1: found an array"),
    (b'{"id":"\xff"}\n', ":1:8: bad UTF-8, byte 0xff"),
    (b"\0\0\0\x20ftypisom\xff", ":1: found a binary file; expected JSON Lines"),
    (b'{"id":NaN}\n', ":1:7: broken JSON (NaN is no number in JSON)"),
    (b'{"id":"\xc3\xa9","n":-Infinity}\n', "broken JSON (Infinity is no number in JSON)"),
    (b"{\n", "jq -c"),
    (b"\x1f\x8b\x08damaged", "damaged gzip"),
]


@pytest.mark.parametrize(("command", "records"), FILTERS)
@pytest.mark.parametrize(("data", "words"), BAD)
def test_broken_lines_are_placed_and_harm_nothing(run, tmp_path, command, records, data, words):
    kept = tmp_path / "out.jsonl"
    kept.write_text("precious\n")
    result = run(*command, "-o", kept, stdin=data)
    assert result.code == 1
    one_line(result, f"mma82 {command[0]}: <stdin>", words)
    assert kept.read_text() == "precious\n" and os.listdir(tmp_path) == ["out.jsonl"]


@pytest.mark.parametrize(("command", "records"), FILTERS)
def test_skipped_records_are_told_and_nothing_else_is_lost(run, command, records):
    data = as_lines(records)
    broken = b'{"id":\n' + data + b'{"video":1}\n'
    result = run(*command, "--on-error", "skip", stdin=broken)
    assert result.code == 1 and result.out == run(*command, stdin=data).out
    faults = [json.loads(line) for line in result.err.splitlines() if line.startswith("{")]
    assert [f["line"] for f in faults] == [1, len(records) + 2]
    assert faults[0]["record"] == '{"id":' and faults[1]["record"] == {"video": 1} and all(f["file"] == "<stdin>" for f in faults)


@pytest.mark.parametrize(("command", "records"), FILTERS)
def test_full_disk_and_missing_files(run, command, records):
    with open("/dev/full", "w") as full:
        done = subprocess.run([MMA82, *command], input=as_lines(records), stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1 and b"No space left" in done.stderr
    for name, words in (("nosuch.jsonl", "No such file"), ("/", "directory")):
        result = run(*command, name)
        assert result.code == 1 and result.out == ""
        one_line(result, f"mma82 {command[0]}: {name}", words)
    nowhere = run(*command, "-o", "/nosuch/x", stdin=records)
    assert nowhere.code == 1
    one_line(nowhere, "/nosuch", "No such file")


def test_a_link_stays_a_link(run, tmp_path):
    (tmp_path / "file").write_text("old\n")
    (tmp_path / "link").symlink_to("file")
    assert run("labels", "-o", tmp_path / "link").code == 0
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text().count("\n") == 82


@pytest.mark.parametrize("command", [c for c, _ in FILTERS])
def test_nothing_in_nothing_out(run, command):
    result = run(*command, stdin=b"\n\n")
    assert (result.code, result.out) == (0, "")


def test_labels_survive_a_closed_pipe():
    done = subprocess.run(["bash", "-c", f"{MMA82} labels | true; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True)
    assert done.stderr == "" and done.stdout.strip() in ("0", "141")


@pytest.mark.parametrize("wait", [0, 0, 0, 0, 0.001, 0.003, 0.01, 0.03])  # while it starts, too
def test_an_interrupt_ends_with_130_and_leaves_no_file(tmp_path, wait):
    process = subprocess.Popen([MMA82, "score", "-o", tmp_path / "out"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    while not list(tmp_path.iterdir()):
        pass
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130 and process.stderr.read() == b"" and not list(tmp_path.iterdir())


def on_terminal(*command, **env) -> str:
    """What a person sees of a command whose stdout goes elsewhere."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "env": {**os.environ, **env}}
    process = subprocess.Popen([MMA82, *command], stderr=writer, **options)
    os.close(writer)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while chunk := os.read(reader, 65536):
            shown += chunk
    assert process.wait() == 0
    return shown.decode()


def test_a_person_sees_progress_and_can_switch_it_off():
    work = ("synth", "--clips", "60", "--jobs", "1")
    shown = on_terminal(*work, NO_COLOR="1")
    assert "60" in shown and "\r" in shown and "\x1b[3" not in shown
    assert "\x1b[3" not in on_terminal(*work, TERM="dumb")
    assert on_terminal(*work, "--no-progress") == on_terminal(*work, "-q") == ""


def test_bytes_do_not_depend_on_the_environment(run):
    for command, records in FILTERS:
        environments = ({}, {"PYTHONHASHSEED": "1", "LC_ALL": "C"}, {"PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "1"})
        assert len({run(*command, stdin=records, env=e).out for e in environments}) == 1


def test_debug_shows_where_an_error_arose(run):
    assert "Traceback" in run("score", "--debug", stdin=b"{bad\n").err


def test_records_leave_while_input_is_still_open():
    process = subprocess.Popen([MMA82, "merge-annotations", "--grouped"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(as_lines(ANNOTATIONS[:6]))
    process.stdin.flush()
    first = process.stdout.readline()  # hangs, and so fails, if nothing leaves before the end
    process.stdin.close()
    assert json.loads(first)["video"] == "v0" and process.wait() == 0


def test_closed_streams(tmp_path):
    def closing(stream, *command):
        words = " ".join([f"{ROOT}/bin/mma82", *command, stream])
        return subprocess.run(["sh", "-c", words], cwd=tmp_path, capture_output=True, text=True)

    for command in (["score", "none.jsonl"], ["nothing"], ["score", "--nothing"], []):
        silent = closing("2>&-", *command)
        assert silent.returncode > 0 and silent.stdout == silent.stderr == ""
    (tmp_path / "t.csv").write_text("video,label,mood\na.mp4,1,x\n")
    noted = closing("2>&-", "convert", "--from", "csv", "-o", "out.jsonl", "t.csv")
    assert (noted.returncode, noted.stdout) == (0, "")
    assert (tmp_path / "out.jsonl").read_text() == '{"video":"a.mp4","label":"Shaking body"}\n'
    for command, name in (("--version", "mma82"), ("labels", "mma82 labels")):
        assert closing(">&-", command).stderr == f"{name}: <stdout>: Bad file descriptor\n"
        assert closing(">&- 2>&-", command).returncode == 1
