"""Completions: every word of the command table at its place, in the shells that are installed, quickly."""

import contextlib
import os
import pty
import re
import resource
import select
import shutil
import subprocess
import time

import pytest
from conftest import ROOT

from mma82cli.manual.files import generated
from mma82cli.manual.table import commands
from mma82cli.plots import KINDS

BASH, ZSH, FISH = (
    ROOT / "share/bash-completion/completions/mma82",
    ROOT / "share/zsh/site-functions/_mma82",
    ROOT / "share/fish/vendor_completions.d/mma82.fish",
)
CASES = [  # words typed, some of the answers, what is no answer
    (["sc"], {"score"}, {"synth"}),
    (["help", "val"], {"validate"}, {"score"}),
    (["score", "--m"], {"--metric", "--mean-over"}, {"--by"}),
    (["score", "--metric", "m"], {"mca", "macro-f1", "map"}, {"top1"}),
    (["infer", "--recipe", "posec3d"], {"posec3d", "posec3d-tiny", "posec3d-ntu"}, set()),
    (["score", "--taxonomy", "mma"], {"mma82", "mma82-fig3"}, {"ma52"}),
    (["plot", "dia"], {"diagnosis"} & set(KINDS), set()),
    (["convert", "--from", "la"], {"labelu", "label-studio"}, {"elan"}),
]


def in_bash(words, folder) -> set[str]:
    line = " ".join(words)
    script = f'source {BASH}; COMP_WORDS=(mma82 {line}); COMP_CWORD={len(words)}; _mma82; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, cwd=folder)
    assert done.stderr == ""
    return set(done.stdout.split())


def in_fish(words, folder) -> set[str]:
    line = "mma82 " + " ".join(words)
    env = {**os.environ, "HOME": str(folder)}
    script = f"source {FISH}; complete -C '{line}'"
    done = subprocess.run(["fish", "-c", script], capture_output=True, text=True, cwd=folder, env=env)
    assert done.stderr == ""
    return {row.split("\t")[0] for row in done.stdout.splitlines()}


def in_zsh(words, folder) -> set[str]:
    """What a person at a terminal is shown after a TAB; where only one word fits, it is put into the line."""
    (folder / "_mma82").write_text(ZSH.read_text())
    setup = (
        "PS1='> '; fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; setopt no_beep no_always_last_prompt; "
        "zstyle ':completion:*' verbose no; LISTMAX=999\n"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe("zsh", ["zsh", "-f", "-i"], {**os.environ, "TERM": "dumb", "HOME": str(folder)})
    try:
        os.write(terminal, setup.encode() + b"echo rea''dy\n")
        _until(terminal, b"ready\r\n")
        os.write(terminal, f"mma82 {' '.join(words)}\t\t".encode())
        time.sleep(0.2)
        os.write(terminal, b"\x15echo do''ne\n")
        shown = _until(terminal, b"done\r\n").decode(errors="replace")
    finally:
        os.close(terminal)
        with contextlib.suppress(OSError):
            os.waitpid(pid, 0)
    return set(re.findall(r"[\w.-]+", re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", " ", shown).replace("\x08", "")))


def _until(terminal: int, mark: bytes, patience: float = 20) -> bytes:
    seen, end = b"", time.monotonic() + patience
    while mark not in seen and time.monotonic() < end:
        if select.select([terminal], [], [], 0.5)[0]:
            seen += os.read(terminal, 65536)
    assert mark in seen, seen[-400:]
    return seen


SHELLS = {"bash": in_bash, "zsh": in_zsh, "fish": in_fish}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("words", "among", "without"), CASES)
def test_words_are_offered_at_their_place(tmp_path, shell, words, among, without):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    offered = SHELLS[shell](words, tmp_path)
    assert among <= offered and not without & offered, offered


@pytest.mark.parametrize("shell", [BASH, ZSH, FISH])
def test_every_command_and_option_is_there(shell):
    text = shell.read_text()
    assert text == generated(ROOT)[str(shell.relative_to(ROOT))]
    for command in commands():
        assert command.name in text
        for option in (*command.options, *command.shared):
            assert (f"-l {option.long[2:]} " if shell == FISH else option.long) in text
            assert all(choice in text for choice in option.choices)


def test_a_tab_starts_no_python(tmp_path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(5):
        assert in_bash(["score", "--"], tmp_path) >= {"--metric"}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    assert spent / 5 < 0.15
    assert "python" not in BASH.read_text().replace("python -m mma82cli.manual", "")
