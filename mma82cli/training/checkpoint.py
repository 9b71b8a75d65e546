"""What a run leaves in its folder, each file replaced in one step so that a killed run leaves whole ones.

best.safetensors, last.safetensors   weights; their metadata carry recipe, taxonomy, layout and target
last.state.safetensors               weights and the optimiser's momenta: all that `--resume` needs
recipe.toml, log.jsonl               the recipe as it was run; a line an epoch

All randomness of an epoch is seeded by the run's seed and the epoch's number, so no generator's state is kept.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from mma82cli.models.header import METADATA
from mma82cli.records import DataError, WrongUsage
from mma82cli.replacing import forget_killed
from mma82cli.stream import Output

if TYPE_CHECKING:
    from torch import Tensor

BEST, LAST, STATE = "best.safetensors", "last.safetensors", "last.state.safetensors"
RECIPE, LOG = "recipe.toml", "log.jsonl"


def replace(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all. Raises DataError where it can't, naming the file."""
    try:
        with Output(str(path)) as out:
            out.write(data)
    except OSError as error:
        stands = "; the last complete checkpoint stands" if path.exists() else ""
        raise DataError(f"{path}: {error.strerror}{stands}") from None


def sweep(folder: Path) -> None:
    """Takes away what a run that was killed had begun to write: each would keep a whole checkpoint's room."""
    for name in (BEST, LAST, STATE, RECIPE, LOG):
        forget_killed(folder / name)


def save(path: Path, tensors: dict[str, Tensor], about: dict) -> None:
    """`tensors` as safetensors, with `about` (JSON) in its metadata."""
    from safetensors.torch import save as to_bytes

    plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    replace(path, to_bytes(plain, {METADATA: json.dumps(about, ensure_ascii=False)}))


def save_state(path: Path, model, optimizer, extra: dict[str, Tensor], about: dict) -> None:
    """Everything that training goes on from. The optimiser's tensors are named `optimizer.PARAMETER.KEY`, those of
    `extra` (the task's own) `task.KEY`."""
    import torch

    tensors = {f"model.{key}": value for key, value in model.state_dict().items()}
    tensors |= {f"task.{key}": value for key, value in extra.items()}
    names = _trained(model, optimizer)
    for i, values in optimizer.state_dict()["state"].items():
        for key, value in values.items():
            if value is not None:
                tensors[f"optimizer.{names[i]}.{key}"] = torch.as_tensor(value)
    save(path, tensors, about)


def load_state(folder: Path, model, optimizer) -> tuple[dict, dict[str, Tensor]]:
    """Fills `model` and `optimizer` from the folder's last state; returns what was saved about it, and the task's tensors.

    Raises WrongUsage where there is none, DataError where it is damaged or of another model.
    """
    from safetensors import SafetensorError, safe_open

    about, path = read_about(folder), folder / STATE
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
        optimizer.load_state_dict({**optimizer.state_dict(), "state": _optimizer_state(_trained(model, optimizer), tensors)})
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise DataError(f"{path}: can't be resumed from ({' '.join(str(error).split())[:200]})") from None
    return about, {key.removeprefix("task."): value for key, value in tensors.items() if key.startswith("task.")}


def _trained(model, optimizer) -> list[str]:
    """The names of the optimiser's parameters in its own order, which goes by groups."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return [names[parameter] for group in optimizer.param_groups for parameter in group["params"]]


def _optimizer_state(names: list[str], tensors: dict[str, Tensor]) -> dict:
    order = {name: i for i, name in enumerate(names)}
    state: dict[int, dict] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            parameter, _, key = name.removeprefix("optimizer.").rpartition(".")
            state.setdefault(order[parameter], {})[key] = value
    return state


def read_about(folder: Path) -> dict:
    """What the folder's last state says of itself: recipe, taxonomy, layout, target, seed, epoch, …

    Raises WrongUsage where there is none, DataError where it is damaged. Reads the header alone: 8 bytes of length, JSON.
    """
    path = folder / STATE
    if not path.is_file():
        raise WrongUsage(f"nothing to resume: {path} does not exist; start without --resume")
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return json.loads(header["__metadata__"][METADATA])
    except (OSError, KeyError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise DataError(f"{path}: can't be read ({' '.join(str(error).split())[:200]})") from None


def append_log(folder: Path, line: dict, keep: int | None = None) -> None:
    """Adds an epoch's line to the log; `keep` first drops lines of later epochs, which a killed run may have left."""
    path = folder / LOG
    lines = []
    if path.exists():
        lines = [raw for raw in path.read_bytes().splitlines(keepends=True) if keep is None or _epoch(raw) <= keep]
    replace(path, b"".join(lines) + json.dumps(line).encode() + b"\n")


def _epoch(raw: bytes) -> int:
    try:
        return int(json.loads(raw)["epoch"])
    except (ValueError, KeyError, TypeError):
        return 1 << 62  # a torn line goes
