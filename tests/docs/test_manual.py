"""Manual pages are what the command table makes of them, complete, and clean."""

import inspect
import re
import shutil
import subprocess

import pytest
from conftest import ROOT

from mma82cli.cli import COMMANDS, folded
from mma82cli.manual.fields import FIELDS
from mma82cli.manual.files import generated, rewrite
from mma82cli.manual.table import commands

FILES = generated(ROOT)
PAGES = [name for name in FILES if name.startswith("share/man/")]
ADVICE = "run `python -m mma82cli.manual`, which rewrites the manual pages and completions"


def test_generated_files_are_up_to_date():
    stale = [name for name, text in FILES.items() if not (ROOT / name).is_file() or (ROOT / name).read_text() != text]
    stale += [str(p.relative_to(ROOT)) for p in (ROOT / "share/man").glob("man?/*") if str(p.relative_to(ROOT)) not in FILES]
    assert not stale, f"{', '.join(stale)}: out of date; {ADVICE}"


def test_rewriting_writes_all_of_it_and_takes_old_pages_away(tmp_path):
    (tmp_path / "share/doc").mkdir(parents=True)
    shutil.copytree(ROOT / "share/doc/mma82", tmp_path / "share/doc/mma82")
    shutil.copy(ROOT / "CITATION.cff", tmp_path)
    old = tmp_path / "share/man/man1/mma82-gone.1"
    old.parent.mkdir(parents=True)
    old.touch()
    assert sorted(rewrite(tmp_path)) == sorted([*FILES, "share/man/man1/mma82-gone.1"]) and not old.exists()
    assert rewrite(tmp_path) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_tells_all_of_its_command(name):
    command = next(c for c in commands() if c.name == name)
    told = command.takes or command.adds or command.writes
    assert told, 'say which fields it takes, adds and writes: @command(takes="…", adds="…", writes="…") (see manual/fields.py)'
    page = FILES[f"share/man/man1/mma82-{name}.1"]
    sections = re.findall(r"^\.SH (.*)", page, re.M)
    assert [s for s in sections if s != "ARGUMENTS"] == [
        "NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "FIELDS", "EXIT STATUS", "EXAMPLES", "SEE ALSO",
    ]  # fmt: skip
    for option in (*command.options, *command.shared):
        assert option.long.replace("-", "\\-") in page
        assert option.help.split()[0].strip("'`:;") in page
    unknown = [field for field in (*command.takes, *command.adds) if field not in FIELDS]
    assert not unknown, f"{unknown}: not in mma82cli/manual/fields.py"


def test_the_overview_names_every_command_field_and_variable():
    page = FILES["share/man/man1/mma82.1"]
    for name in COMMANDS:
        assert f"\\fBmma82\\-{name.replace('-', chr(92) + '-')}\\fP(1)" in page
    for field in FIELDS:
        assert f"\\fB{field}\\fP" in page
    code = "\n".join(path.read_text() for path in (ROOT / "mma82cli").rglob("*.py"))
    variables = set(re.findall(r"environ(?:\.get\(|\[)\"(\w+)\"", code)) - {"TORCHELASTIC_RUN_ID"}
    assert variables and all(name in page for name in variables), variables


def test_pages_that_are_named_exist():
    for name in PAGES:
        text = re.sub(r"\\f[BIPR]", "", FILES[name]).replace("\\-", "-")
        for page, section in re.findall(r"(mma82[\w-]*) ?\((\d)\)", text):
            assert f"share/man/man{section}/{page}.{section}" in FILES, f"{name} names {page}({section})"


def test_the_exit_statuses_of_the_manual_are_those_of_main():
    from mma82cli import cli
    from mma82cli.manual.pages import STATUS

    told = re.search(r"exit status \((.*)\)", inspect.getdoc(cli.main))[1]
    assert set(STATUS) | {"141"} == set(re.findall(r"\d+", told))


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
def test_pages_are_clean():
    done = subprocess.run(["mandoc", "-Tlint", *PAGES], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_pages_fit_a_terminal():
    for name in PAGES:
        command = ["groff", "-man", "-Tutf8", "-Kutf8", "-ww", "-P-cbou", "-rLL=80n", ROOT / name]
        done = subprocess.run(command, capture_output=True, text=True)
        warnings = [line for line in done.stderr.splitlines() if "warning" in line]
        assert not warnings, f"{name}: {warnings}"
        if name.endswith(".1"):  # a tutorial shows records, which are as long as they are
            wide = [line for line in done.stdout.splitlines() if len(line) > 80]
            assert not wide, f"{name}: {wide}"


@pytest.mark.parametrize("name", COMMANDS)
def test_long_examples_are_folded_and_stay_what_they_are(name):
    example = next(c for c in commands() if c.name == name).example
    lines = folded(example)
    assert max(map(len, lines)) <= 69
    assert subprocess.run(["bash", "-n"], input="\n".join(lines), text=True).returncode == 0
    assert " ".join(" ".join(lines).replace("\\ ", " ").split()) == " ".join(example.split())
