"""Packed clips kept in a folder, so that a run on records that were read before starts at once.

`FOLDER/joints-KEY/` holds the arrays of each split as .npy files, which are mapped, not read. KEY is a hash of all that the
arrays come from: the bytes of the input, the label set, the truth's field, and the layout.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np

from mma82cli.records import DataError
from mma82cli.replacing import Replacing
from mma82cli.training.skeleton.clips import ClipStore

VERSION = 1  # of what the arrays mean; one more forgets those of old
ABOUT = "about.json"


def key_of(files: list[str], said: dict) -> str:
    """The key of records in `files`, read as `said` (JSON). Raises DataError where a file can't be read."""
    found = hashlib.sha256(json.dumps([VERSION, said], sort_keys=True).encode())
    for name in files:
        try:
            with open(name, "rb") as file:
                part = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else _digest(file)
        except OSError as error:
            raise DataError(f"{name}: {error.strerror}") from None
        found.update(part.digest())
    return found.hexdigest()[:24]


def _digest(file):
    """`hashlib.file_digest`, for Python 3.10."""
    found = hashlib.sha256()
    while part := file.read(1 << 20):
        found.update(part)
    return found


def load(folder: str, key: str) -> tuple[dict[str, ClipStore], dict] | None:
    """(clips by split, what was said about them), or None where the folder holds none, or damaged ones."""
    place = Path(folder) / f"joints-{key}"
    try:
        about = json.loads((place / ABOUT).read_text())
        stores = {}
        for split, names in about["arrays"].items():
            stores[split] = ClipStore.of({name: np.load(place / f"{split}.{name}.npy", mmap_mode="c") for name in names})
        return stores, about["said"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save(folder: str, key: str, stores: dict[str, ClipStore], said: dict) -> None:
    """Keeps the clips, whole or not at all. Raises DataError where the folder can't be written."""
    place = Path(folder) / f"joints-{key}"
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with Replacing(place) as temporary:
            os.mkdir(temporary)
            arrays = {split: store.arrays() for split, store in stores.items() if len(store)}
            for split, whole in arrays.items():
                for name, array in whole.items():
                    np.save(os.path.join(temporary, f"{split}.{name}.npy"), array)
            about = {"arrays": {split: list(whole) for split, whole in arrays.items()}, "said": said}
            Path(temporary, ABOUT).write_text(json.dumps(about))
            if place.exists() and load(folder, key) is None:  # damaged
                shutil.rmtree(place, ignore_errors=True)
    except OSError as error:
        if load(folder, key) is None:  # another process has not kept them meanwhile
            raise DataError(f"{error.filename or folder}: {error.strerror}; the joints are not kept (--cache)") from None
