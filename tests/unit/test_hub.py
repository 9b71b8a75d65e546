"""Files fetched by name, from a server of this test's own: torn downloads, wrong hashes, no network, many processes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from conftest import ROOT

from mma82cli import hub, share
from mma82cli.records import DataError, WrongUsage

DATA = np.random.default_rng(0).bytes(300_000)
PIECE = 10_000
CROWD = int(os.environ.get("CROWD", "20"))  # processes at once
SHA = hashlib.sha256(DATA).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files`; `tear` bytes at most an answer, `pause` seconds before each PIECE of it; `ranges` False answers every
    request with the whole; `leads` are paths that lead to others, of which the hash is `named`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.asked, self.tear, self.ranges, self.pause = {}, [], None, True, 0.0
        self.leads, self.named = {}, SHA
        self.root = f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append((self.path, wanted))
        if self.path in server.leads:
            self.send_response(302)
            self.send_header("X-Linked-ETag", f'"{server.named}"')
            self.send_header("Location", server.leads[self.path])
            return self.end_headers()
        data = server.files.get(self.path)
        if data is None:
            return self.send_error(404, "Not Found")
        first = int(re.match(r"bytes=(\d+)-", wanted)[1]) if wanted and server.ranges else 0
        if first >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            return self.end_headers()
        self.send_response(206 if wanted and server.ranges else 200)
        if wanted and server.ranges:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - first))
        self.end_headers()
        answer = data[first:][: server.tear]
        for begin in range(0, len(answer), PIECE):
            time.sleep(server.pause)
            try:
                self.wfile.write(answer[begin : begin + PIECE])
            except OSError:  # who asked is gone
                return

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = Server()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def table(tmp_path, monkeypatch, server):
    """table(name={...row}) writes public.toml into a share of its own; the cache is empty."""
    (tmp_path / "share" / "models").mkdir(parents=True)
    monkeypatch.setenv("MMA82_SHARE", str(tmp_path / "share"))
    monkeypatch.setenv("MMA82_CACHE", str(tmp_path / "cache"))

    def write(**rows):
        lines = [f"[{n}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in row.items()) for n, row in rows.items()]
        (tmp_path / "share" / "models" / "public.toml").write_text("".join(lines))

    server.files["/net.onnx"] = DATA
    write(net={"url": server.root + "/net.onnx", "sha256": SHA, "layout": "coco17"})
    return write


def zipped(**members) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return packed.getvalue()


def test_fetched_once_and_verified_on_every_use(server, table, tmp_path):
    said: list[str] = []
    assert not hub.cached("net")
    path = hub.fetch("net", said.append)
    assert path == tmp_path / "cache" / "net.onnx" and path.read_bytes() == DATA and hub.cached("net")
    assert len(said) == 1 and "0.3 MB" in said[0]
    assert hub.fetch("net", said.append) == path and len(server.asked) == 1 and len(said) == 1
    assert hub.find("net").card == {"layout": "coco17"}
    path.write_bytes(DATA[:-1] + b"x")
    with pytest.raises(DataError, match=f"net.onnx: its sha256 is .*; expected {SHA}: remove it"):
        hub.fetch("net")
    assert sorted(os.listdir(path.parent)) == ["net.onnx", "net.onnx.lock"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_torn_part_is_taken_up(server, table, tmp_path, ranges):
    server.ranges = ranges
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "net.onnx.part").write_bytes(DATA[:123_456])
    assert hub.fetch("net").read_bytes() == DATA
    assert server.asked == [("/net.onnx", "bytes=123456-")]


def test_a_part_that_is_whole_needs_no_byte_more(server, table, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "net.onnx.part").write_bytes(DATA)
    assert hub.fetch("net").read_bytes() == DATA and len(server.asked) == 1


def test_a_part_of_another_file_is_thrown_away(server, table, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "net.onnx.part").write_bytes(b"\0" * 1000)
    assert hub.fetch("net").read_bytes() == DATA
    assert [wanted for _, wanted in server.asked] == ["bytes=1000-", None]


def test_a_connection_that_breaks_is_taken_up(server, table):
    server.tear = 120_000
    assert hub.fetch("net").read_bytes() == DATA
    assert [wanted for _, wanted in server.asked] == [None, "bytes=120000-", "bytes=240000-"]


def test_a_connection_that_keeps_breaking_is_an_error_that_keeps_what_came(server, table, tmp_path):
    server.tear = 1000
    with pytest.raises(DataError, match="ended early"):
        hub.fetch("net")
    assert (tmp_path / "cache" / "net.onnx.part").stat().st_size == 1000 * hub.ATTEMPTS


def test_a_wrong_hash_leaves_nothing(server, table, tmp_path):
    table(net={"url": server.root + "/net.onnx", "sha256": "0" * 64})
    with pytest.raises(DataError, match=f"sha256 of what came is {SHA}; expected 0000"):
        hub.fetch("net")
    assert os.listdir(tmp_path / "cache") == ["net.onnx.lock"]


def test_what_is_not_known_of_a_hash_is_pinned(server, table, tmp_path):
    table(net={"url": server.root + "/net.onnx", "sha256": SHA[:8]}, other={"url": server.root + "/net.onnx"})
    for name, words in (("net", "first 8 digits"), ("other", "names none")):
        said: list[str] = []
        path = hub.fetch(name, said.append)
        assert len(said) == 2 and SHA in said[1] and words in said[1]
        assert hub.fetch(name, said.append) == path and len(said) == 2
        path.write_bytes(b"another")
        with pytest.raises(DataError, match=f"expected {SHA}"):
            hub.fetch(name)


def test_the_hash_that_a_server_names_is_held_to(server, table, tmp_path):
    table(net={"url": f"{server.root}/resolve/net.bin"})
    server.leads, server.files, server.tear = {"/resolve/net.bin": "/store/1"}, {"/store/1": DATA}, 200_000
    told = []
    assert hub.fetch("net", told.append).read_bytes() == DATA
    assert not any("trust" in line for line in told) and (tmp_path / "cache" / "net.bin.sha256").read_text() == SHA + "\n"
    (tmp_path / "cache" / "net.bin").unlink()
    server.files["/store/1"] = DATA[::-1]
    with pytest.raises(DataError, match=f"expected {SHA}"):
        hub.fetch("net")
    assert not (tmp_path / "cache" / "net.bin").exists()


def test_offline_says_where_to_put_the_file(server, table, tmp_path):
    table(net={"url": "http://127.0.0.1:9/sdk/net.zip", "member": "end2end.onnx", "sha256": SHA})
    with pytest.raises(DataError) as error:
        hub.fetch("net")
    place = tmp_path / "cache" / "net.onnx"
    assert str(error.value).startswith("net can't be fetched from http://127.0.0.1:9/sdk/net.zip (")
    assert str(error.value).endswith(f"offline, put end2end.onnx (from net.zip) at {place}")
    place.write_bytes(DATA)
    assert hub.fetch("net") == place


def test_an_answer_that_is_no_file(server, table):
    table(net={"url": server.root + "/gone.onnx"})
    with pytest.raises(DataError, match="the server answers 404 Not Found"):
        hub.fetch("net")
    assert len(server.asked) == 1


def test_a_member_of_a_zip(server, table):
    server.files["/net.zip"] = zipped(a__end2end_onnx=b"", a__b__end2end=DATA, c=b"c")
    table(net={"url": server.root + "/net.zip", "member": "end2end", "sha256": SHA})
    assert hub.fetch("net").read_bytes() == DATA
    for data, words in ((zipped(x=b""), "0 files end in"), (zipped(a__m=b"", b__m=b""), "2 files"), (DATA, "no zip")):
        server.files["/bad.zip"] = data
        table(bad={"url": server.root + "/bad.zip", "member": "m"})
        with pytest.raises(DataError, match=words):
            hub.fetch("bad")


def test_a_disk_that_has_room_for_the_zip_alone_names_the_file_and_keeps_what_came(server, table, tmp_path):
    server.files["/net.zip"] = zipped(end2end=b"\0" * 300_000)
    table(net={"url": server.root + "/net.zip", "member": "end2end"})
    code = "import resource; from mma82cli import hub; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)); hub.fetch('net')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == f"OSError: [Errno 27] File too large: '{tmp_path / 'cache' / 'net'}'"
    assert sorted(os.listdir(tmp_path / "cache")) == ["net.lock", "net.part"]
    assert hub.fetch("net").stat().st_size == 300_000
    assert server.asked[1:] == [("/net.zip", f"bytes={len(server.files['/net.zip'])}-")]


def test_many_processes_fetch_it_once(server, table):
    code = "import sys; from mma82cli import hub; print(hub.fetch('net'))"
    command = [sys.executable, "-c", code]
    many = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(CROWD)]
    answers = {process.communicate()[0] for process in many}
    assert {process.returncode for process in many} == {0} and len(answers) == 1
    assert len(server.asked) == 1


def test_processes_that_are_killed_leave_a_part_that_the_next_takes_up(server, table, tmp_path):
    server.pause = 0.02
    part, command = tmp_path / "cache" / "net.onnx.part", [sys.executable, "-c", "from mma82cli import hub; hub.fetch('net')"]
    for share_ in (0.2, 0.5, 0.8):
        process = subprocess.Popen(command, cwd=ROOT)
        while not (part.exists() and part.stat().st_size >= share_ * len(DATA)) and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "cache" / "net.onnx").exists()
    assert hub.fetch("net").read_bytes() == DATA
    starts = [int(wanted[6:-1]) if wanted else 0 for _, wanted in server.asked]
    assert starts == sorted(starts) and starts[-1] >= 0.7 * len(DATA) and not part.exists()


def test_names_that_are_not_there(table):
    with pytest.raises(WrongUsage, match="no public file 'x'; there are: net"):
        hub.fetch("x")
    for row, words in (({"url": "ftp://x"}, "begins with https"), ({"url": "https://x", "sha256": "xyz"}, "hexadecimal")):
        table(net=row)
        with pytest.raises(DataError, match=words):
            hub.fetch("net")


def test_the_shipped_table():
    files = hub.public_files()
    assert {"rtmpose-t", "rtmpose-s", "rtmpose-m", "rtmpose-l", "rtmo-s", "yolox-tiny", "yolox-m"} <= set(files)
    for name, file in files.items():
        assert file.url.startswith("https://") and file.path.name.startswith(name) and file.path.suffix


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("MMA82_CACHE", str(tmp_path))
    assert share.cache_dir() == tmp_path
    monkeypatch.delenv("MMA82_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert str(share.cache_dir()) == "/x/mma82"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "/home/me")
    assert str(share.cache_dir()) == "/home/me/.cache/mma82"
