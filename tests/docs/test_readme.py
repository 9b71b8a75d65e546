"""The examples of the README and of the tutorials are run, and print what the page says they print."""

import os
import re
import subprocess

import pytest
from conftest import ROOT

from mma82cli.cli import COMMANDS

PAGES = [ROOT / "README.md", *sorted((ROOT / "share/doc/mma82").glob("*.md"))]


def examples(page) -> list[tuple[str, str]]:
    """(command, what it prints) of every `$` in the page's console blocks; `> ` goes on with a command."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            first, *lines = part.splitlines()
            more = next((i for i, line in enumerate(lines) if not line.startswith("> ")), len(lines))
            command = "\n".join([first, *(line[2:] for line in lines[:more])])
            found.append((command, "".join(line + "\n" for line in lines[more:])))
    return found


def test_every_command_is_shown():
    readme = PAGES[0].read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"**`{command}`**" in readme


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_print_what_they_say(page, tmp_path):
    env = {**os.environ, "PATH": f"{ROOT / 'bin'}:{os.environ['PATH']}"}
    for command, expected in examples(page):
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.stdout + done.stderr == expected, command


def test_the_pages_have_examples():
    assert sum(bool(examples(page)) for page in PAGES) >= 4 and sum(len(examples(page)) for page in PAGES) >= 50
