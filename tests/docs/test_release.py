"""What tools and people read of a release is of this one."""

import re

from conftest import ROOT

from mma82cli import __version__
from mma82cli.cli import COMMANDS


def test_the_version_is_the_same_everywhere():
    citation = dict(re.findall(r"^([a-z-]+): *(.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    assert citation["version"] == __version__ and citation["cff-version"] == "1.2.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", citation["date-released"])
    changes = re.findall(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert changes[0] == __version__


def test_the_changes_name_every_command():
    told = (ROOT / "CHANGELOG.md").read_text()
    missing = [name for name in COMMANDS if f"`{name}`" not in told]
    assert not missing


def test_what_the_tests_need_is_pinned():
    """share/constraints.txt holds each package of install_requires and of the extra `test`."""
    setup = (ROOT / "setup.cfg").read_text()
    blocks = re.findall(r"^(?:install_requires|test) =\n((?:[ ]+.*\n)+)", setup, re.MULTILINE)
    wanted = {name for block in blocks for name in re.findall(r"^ +([a-z][\w-]*)", block, re.MULTILINE)}
    pinned = {re.split("[=; ]", line)[0] for line in (ROOT / "share/constraints.txt").read_text().splitlines()}
    assert wanted - pinned <= {"tomli", "setuptools"}


def test_the_lowest_versions_are_those_that_setup_allows():
    """share/floors.txt holds each lower bound of setup.cfg as the first release of it: `av>=14.1` as `av==14.1.0`.
    Not deepface's, for which the tests bring a stand-in, nor that of torch for export, which is higher than the others'."""
    setup = (ROOT / "setup.cfg").read_text()
    bounds = {*re.findall(r"^ +([a-z][\w-]*)>=([\d.]+)", setup, re.MULTILINE)}
    bounds -= {("deepface", "0.0.93"), ("torch", "2.13")}
    floors = dict(re.findall(r"^([\w-]+)==([\d.]+)$", (ROOT / "share/floors.txt").read_text(), re.MULTILINE))
    told = {(name, bound) for name, bound in bounds if f"{floors.get(name)}.".startswith(f"{bound}.")}
    assert bounds == told and len(bounds) == len(floors)


def test_what_is_required_is_used():
    required = re.search(r"^install_requires =\n(.*?)\n\n", (ROOT / "setup.cfg").read_text(), re.MULTILINE | re.DOTALL)[1]
    names = {"opencv-python": "cv2", "scikit-learn": "sklearn"}
    code = "\n".join(path.read_text() for path in (ROOT / "mma82cli").rglob("*.py"))
    for name in re.findall(r"^ +([a-z][\w-]*)", required, re.MULTILINE):
        assert re.search(rf"^ *(import|from) {names.get(name, name)}\b", code, re.MULTILINE), name
