"""Whatever is written whole: ended at any moment it leaves the old file or the new one, and nothing beside it."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT

from mma82cli import replacing
from mma82cli.stream import Output
from mma82cli.training import checkpoint

MOMENTS = """
import atexit, contextlib, os, pathlib, shutil, sys, tempfile
sys.path.insert(0, {root!r})
from pathlib import Path
from mma82cli.stream import Output
folder = Path({folder!r})
{before}

def work():
{work}

OURS = "<string>", {root!r} + "/mma82cli", tempfile.__file__, contextlib.__file__, shutil.__file__

def ends_at(moment):
    '''True where work is done before its `moment`-th bytecode; there it ends as by a signal: SystemExit, exit handlers.'''
    def trace(frame, event, _):
        nonlocal moment
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        frame.f_trace_opcodes = True
        moment -= event == "opcode"
        if moment < 0:
            raise SystemExit(143)
        return trace
    sys.settrace(trace)
    try:
        work()
        return True
    except SystemExit:
        return False
    finally:
        sys.settrace(None)

def look():
    return {{str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}}

os.umask(0o027)
work()
whole, moment, done = look(), 0, False
assert whole and {{oct(p.stat().st_mode & 0o777) for p in folder.rglob("*") if p.is_file()}} == {{"0o640"}}
assert {{oct(p.stat().st_mode & 0o777) for p in folder.rglob("*") if p.is_dir()}} <= {{"0o750"}}
for name in whole if {replaces} else ():  # a link stays a link
    os.replace(folder / name, folder.parent / name)
    (folder / name).symlink_to(folder.parent / name)
    (folder.parent / name).write_text("old")
    work()
    assert (folder / name).is_symlink() and (folder.parent / name).read_bytes() == whole[name]
olds = ({{}}, dict.fromkeys(whole, b"old")) if {replaces} else ({{}},)
while not done:
    for old in olds:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name, data in old.items():
            (folder / name).write_bytes(data)
        child = os.fork()
        if not child:
            status = 2
            try:
                status = 0 if ends_at(moment) else 1
                atexit._run_exitfuncs()
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found = look()
        assert status < 2
        assert sorted(found) == sorted(whole) or not old and all(name in whole for name in found), (moment, sorted(found))
        assert all(data in (whole[name], old.get(name)) for name, data in found.items()), moment
        left = {{str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_dir()}} - {{str(Path(n).parent) for n in found}}
        assert not left, (moment, left)
        done = status == 0
    moment += 1
print(moment)
"""

JOINTS = """
import numpy as np
from mma82cli.training.skeleton import cache
class Store:
    def __len__(self): return 1
    def arrays(self): return {"joints": np.full((3, 17, 3), 7, np.int16)}
"""
PICTURES = """
import numpy as np
from mma82cli.video.writer import write_frames
pictures = [np.full((48, 64, 3), 100, np.uint8)] * 3
"""
PACKS = """
from mma82cli.video.cache import Cache
from mma82cli.video.clips import Clip
packs = Cache(folder, 32)
(folder.parent / 'v.avi').touch()
packs.frames.all = lambda clip: [(0.0, pictures[0])]
"""
FIGURE = """
from mma82cli.plots import style
class Figure:
    def get_size_inches(self): return [8, 6]
    def findobj(self, kind): return []
    def savefig(self, path, **options):
        with open(path, 'w') as file:
            file.write(str(options))
"""
PIN = """
os.environ.update(MMA82_SHARE=str(folder.parent / "share"), MMA82_CACHE=str(folder))
(folder.parent / "share" / "models").mkdir(parents=True)
(folder.parent / "share" / "models" / "public.toml").write_text('[net]\\nurl = "http://127.0.0.1:9/net.onnx"')
from mma82cli import hub
"""
WAYS = {  # name: (what is there before, the work, whether it replaces a file that is there)
    "-o": ("", "with Output(str(folder / 'a.jsonl')) as out: out.write(b'x' * 9)", True),
    "two -o": ("", "with Output(str(folder / 'a')) as a, Output(str(folder / 'b')) as b: a.write(b'a'), b.write(b'b')", True),
    "checkpoint": ("from mma82cli.training import checkpoint", "checkpoint.replace(folder / 'a', b'new')", True),
    "joints": (JOINTS, "cache.save(str(folder), 'k', {'train': Store()}, {'said': 1})", False),
    "video": (PICTURES, "write_frames(folder / 'a.avi', pictures, 10.0, (64, 48), 'FFV1')", True),
    "frames": (PICTURES + PACKS, "packs.make(Clip(str(folder.parent / 'v.avi'), 0, None))", False),
    "figure": (FIGURE, "style.save(Figure(), str(folder), 'a')", True),
    "hash": (PIN, "(folder / 'net.onnx').write_bytes(b'net'); hub.fetch('net')", False),
}


@pytest.mark.parametrize("way", WAYS)
def test_ended_at_any_moment_it_leaves_nothing_torn(tmp_path, way):
    before, work, replaces = WAYS[way]
    (tmp_path / "out").mkdir()
    code = MOMENTS.format(root=str(ROOT), folder=str(tmp_path / "out"), before=before, work="    " + work, replaces=replaces)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 50


def test_a_forked_process_leaves_its_parents_file_alone(tmp_path):
    out = Output(str(tmp_path / "a"))
    out.write(b"new")
    child = os.fork()
    if not child:
        atexit._run_exitfuncs()
        os._exit(0)
    os.waitpid(child, 0)
    out.commit()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


def test_many_threads_replace_one_file_and_nothing_is_remembered(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: checkpoint.replace(tmp_path / "a", str(i % 8).encode() * 9999), range(400)))
    (path,) = tmp_path.iterdir()
    assert len(path.read_bytes()) == 9999 and len(set(path.read_bytes())) == 1 and not replacing._unfinished


def test_what_cannot_be_replaced_is_named_and_leaves_nothing(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(OSError, match=f"Is a directory: '{tmp_path / 'a'}'"), replacing.Replacing(tmp_path / "a") as temporary:
        Path(temporary).touch()
    none = tmp_path / "none" / "a"
    with pytest.raises(FileNotFoundError, match=f"'{none}'"), replacing.Replacing(none) as temporary:
        Path(temporary).touch()
    assert os.listdir(tmp_path) == ["a"]


def test_a_name_may_be_as_long_as_the_disk_takes(tmp_path):
    for name in ("a" * 255, "é" * 127, "\U0001d11e" * 63):
        checkpoint.replace(tmp_path / name, b"new")
        assert os.listdir(tmp_path) == [name]
        (tmp_path / name).unlink()


def test_what_can_not_be_begun_is_not_remembered(tmp_path):
    with pytest.raises(FileNotFoundError):
        Output(f"{tmp_path}/absent/file")
    assert not [name for name in replacing._unfinished if str(tmp_path) in name]
