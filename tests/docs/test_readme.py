"""The README's examples are run, and print what the README says they print."""

import os
import re
import subprocess

from conftest import ROOT

from mma82cli.cli import COMMANDS

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = re.findall(r"```console\n(.*?)```", README, re.S)


def test_every_command_is_shown():
    for command in COMMANDS:
        assert f"**`{command}`**" in README


def test_examples_print_what_they_say(tmp_path):
    env = {**os.environ, "PATH": f"{ROOT / 'bin'}:{os.environ['PATH']}"}
    examples = [part.partition("\n")[::2] for block in CONSOLE for part in re.split(r"^\$ ", block, flags=re.M)[1:]]
    assert len(examples) >= 10
    for command, expected in examples:
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.stdout + done.stderr == expected, command
