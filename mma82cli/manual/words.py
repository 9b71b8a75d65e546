"""What may follow an option: words of its own, names of what comes with the suite, files or folders."""

from __future__ import annotations

from typing import NamedTuple

from mma82cli import share
from mma82cli.manual.table import Command, Option
from mma82cli.training.families import FAMILIES

# option: the folder of share/mma82 that names its values
FOLDERS = {"--taxonomy": "taxonomy", "--emotions": "taxonomy", "--layout": "layouts"}


class Follows(NamedTuple):
    """`kind` is `words`, `files` (or words, where there are any), `folders`, or `anything`."""

    kind: str
    words: tuple[str, ...] = ()


def follows(option: Option, command: Command) -> Follows:
    """What may follow an option of a command, or stand for its argument."""
    metavar = option.metavar or ""
    if option.choices:
        return Follows("words", option.choices)
    if option.names and (names := _built_in(option.long, command)):
        return Follows("files", names)
    if "DIR" in metavar:
        return Follows("folders")
    if any(word in metavar for word in ("FILE", "CKPT", "CHECKPOINT", "PATH")):
        return Follows("files")
    return Follows("anything")


def _built_in(name: str, command: Command) -> tuple[str, ...]:
    if name in FOLDERS:
        return tuple(sorted(path.stem for path in (share.share_dir() / FOLDERS[name]).glob("*.json")))
    if name == "--recipe":
        return _recipes(command.name)
    if name == "--model":
        models = share.share_dir() / "models"
        return (*sorted(path.stem for path in models.glob("*.onnx")), *share.load_toml(models / "public.toml"))
    return ()


def _recipes(command: str) -> tuple[str, ...]:
    """The recipes that a command trains; `infer` takes all."""
    recipes = {path.stem: share.load_toml(path).get("model") for path in (share.share_dir() / "recipes").glob("*.toml")}
    mine = {model for model, family in FAMILIES.items() if command == family.command or command not in _trainers()}
    return tuple(sorted(name for name, model in recipes.items() if model in mine))


def _trainers() -> set[str]:
    return {family.command for family in FAMILIES.values()}
