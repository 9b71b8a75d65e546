"""Finds `share/mma82`: the taxonomies, layouts, recipes and models that come with the suite.

Order: `$MMA82_SHARE`; `share/mma82` beside the package (a checkout, `pip install -e`, `--target`);
`sys.prefix/share/mma82` (an installed wheel); the user base's `share/mma82` (`pip install --user`).
What is fetched goes to `cache_dir()`.
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Callable
from pathlib import Path

from mma82cli.records import DataError, WrongUsage


def share_dir() -> Path:
    """The folder `share/mma82`. Raises WrongUsage where there is none."""
    given = os.environ.get("MMA82_SHARE")
    if given:
        places = [Path(given)]
    else:
        import site

        parent = Path(__file__).resolve().parent.parent
        places = [parent / "share" / "mma82", Path(sys.prefix) / "share" / "mma82"]
        if site.ENABLE_USER_SITE:
            places.append(Path(site.getuserbase()) / "share" / "mma82")
    for place in places:
        if place.is_dir():
            return place
    raise WrongUsage("no share/mma82 in " + ", ".join(map(str, places)) + "; set MMA82_SHARE to where it is")


def cache_dir() -> Path:
    """Where fetched files are kept: `$MMA82_CACHE`, `$XDG_CACHE_HOME/mma82` or `~/.cache/mma82`. It need not be there."""
    given = os.environ.get("MMA82_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "mma82"


def find(kind: str, name: str, suffix: str) -> Path:
    """The file that `name` stands for: a path if it looks like one or exists, else `share/mma82/KIND/NAME.SUFFIX`.

    Raises WrongUsage naming what is built in.
    """
    if name.endswith(suffix) or os.sep in name:
        if not os.path.isfile(name):
            raise WrongUsage(f"{name}: No such file or directory")
        return Path(name)
    folder = share_dir() / kind
    path = folder / (name + suffix)
    if not path.is_file():
        built_in = ", ".join(sorted(p.name.removesuffix(suffix) for p in folder.glob("*" + suffix)))
        raise WrongUsage(f"no {kind.removesuffix('s')} '{name}'; built in: {built_in}; or give a {suffix} file")
    return path


def load_json(kind: str, name: str, build: Callable):
    """`build(contents)` of the JSON file that `name` stands for. Raises WrongUsage, or DataError naming the file."""
    import orjson

    path = find(kind, name, ".json")
    try:
        data = orjson.loads(path.read_bytes().removeprefix(codecs.BOM_UTF8))
    except (OSError, ValueError) as error:
        raise WrongUsage(f"{path}: {error}") from None
    try:
        return build(data)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def parse_toml(text: str) -> dict:
    """The contents of TOML. Raises ValueError."""
    try:
        import tomllib
    except ImportError:  # Python 3.10
        import tomli as tomllib
    return tomllib.loads(text)


def load_toml(path: Path) -> dict:
    """The contents of a TOML file. Raises DataError naming the file."""
    try:
        return parse_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: {error}") from None
    except ValueError as error:
        raise DataError(f"{path}: not TOML: {error}") from None
