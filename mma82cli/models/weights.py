"""Reading checkpoints: ours (safetensors with the recipe, taxonomy and layout in its metadata) or a peer's .pth.

Ours: the safetensors metadata key "mma82" holds a JSON object {"recipe": {…flat recipe…}, "taxonomy": {…}, "layout": name,
"version": …}. A peer's file goes through torch's restricted reader, which runs no code from it.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import torch
from torch import Tensor, nn

from mma82cli.models.header import METADATA
from mma82cli.records import DataError, WrongUsage

DERIVED = ("num_batches_tracked", "pos_embed")
SHOWN = 3  # keys named for each kind of misfit


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds: tensors by name, and (ours only) the recipe, and the taxonomy as its JSON.

    `about` is all that the metadata say, those two included.
    """

    state: dict[str, Tensor]
    recipe: dict = field(default_factory=dict)
    taxonomy: dict | None = None
    about: dict = field(default_factory=dict)


def read(path) -> Checkpoint:
    """The checkpoint at `path`: a .safetensors, .pth or .pt file, or a run's folder (its best.safetensors).

    Tensors are on the CPU. Raises WrongUsage where there is no such file, DataError where it is no checkpoint.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "best.safetensors"
    if not path.is_file():
        raise WrongUsage(f"{path}: No such file or directory")
    with path.open("rb") as file:
        start = file.read(16)
    # safetensors: 8 bytes of length, then a JSON header. Contents decide, not the name.
    return _read_safetensors(path) if start[8:9] == b"{" else Checkpoint(_read_torch(path))


def _read_safetensors(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = (file.metadata() or {}).get(METADATA, "{}")
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        about = orjson.loads(metadata)
        recipe = about.get("recipe") or {}
        return Checkpoint(state, dict(recipe), about.get("taxonomy"), about)
    except (SafetensorError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a sound safetensors file ({_line(error)})") from None


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a file that is refused is told of once
            data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file fails in many ways; none of them runs its code
        data = _read_tensors_alone(path)
        if data is None or isinstance(data, _Unread):
            asks = re.search(r"GLOBAL ([\w.]+)", str(error))
            reason = f"it asks for {asks[1]}" if asks else "it can't be read"
            expected = "safetensors, or a .pth of tensors and plain values"
            raise DataError(f"{path}: refused or no checkpoint: {reason}; expected {expected}") from None
    return _unwrap(data, path)


def _read_tensors_alone(path: Path) -> Any:
    """What the file holds, with an `_Unread` for all that is neither tensor nor plain value: trainers leave their logs beside
    the weights. None where it can't be read."""
    try:
        names = [name.rpartition(".") for name in torch.serialization.get_unsafe_globals_in_checkpoint(path)]
        empty: list[Any] = [type(name, (_Unread,), {"__module__": module}) for module, _, name in names]
        with warnings.catch_warnings(), torch.serialization.safe_globals(empty):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        return None


class _Unread:
    """Stands in for an object of a class that is not to be run; it takes whatever that is made of, and keeps nothing."""

    def __new__(cls, *args):
        return super().__new__(cls)

    def __setstate__(self, state):
        pass


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _unwrap(data, path) -> dict[str, Tensor]:
    """The tensors out of {"state_dict" | "model" | …: {…}} and from behind the prefix `module.`. A moving average goes first:
    it is what peers evaluate."""
    for _ in range(2):
        for key in ("state_dict_ema", "state_dict", "model", "module"):
            if isinstance(data, dict) and isinstance(data.get(key), dict):
                data = data[key]
    if not isinstance(data, dict) or not any(isinstance(value, Tensor) for value in data.values()):
        raise DataError(f"{path}: holds no tensors by name; expected a state dict, perhaps under 'state_dict' or 'model'")
    state = {key: value for key, value in data.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def fill(model: nn.Module, state: dict[str, Tensor], path="checkpoint") -> None:
    """Copies `state` into `model`. Raises one DataError that names wrong shapes, missing and unexpected keys.

    What is in `DERIVED` may be missing: nothing reads it, or the model has computed it.
    """
    own = model.state_dict()
    missing = [key for key in own if key not in state and not key.endswith(DERIVED)]
    unexpected = [key for key in state if key not in own]
    reshaped = [key for key in own if key in state and own[key].shape != state[key].shape]
    shapes = [f"{key} {list(state[key].shape)} (expected {list(own[key].shape)})" for key in reshaped]
    faults = [("wrong shape", shapes), ("missing", missing), ("unexpected", unexpected)]
    said = [f"{kind}: {some(keys)}" for kind, keys in faults if keys]
    if said:
        raise DataError(f"{path}: the weights don't fit {type(model).__name__}: " + "; ".join(said))
    model.load_state_dict(state, strict=False)


def some(keys: list[str]) -> str:
    """The first few of the keys, and how many more there are."""
    more = len(keys) - SHOWN
    return ", ".join(keys[:SHOWN]) + (f" and {more} more" if more > 0 else "")
