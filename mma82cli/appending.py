"""A file that one run after the other appends lines to, each line whole."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator

from mma82cli.records import WrongUsage


class Appended:
    """The file `path`, which is made where it is missing. `shown` is what a message calls it.

    Raises WrongUsage where another run is writing to it.
    """

    def __init__(self, path: str | os.PathLike, shown: str = ""):
        self.path = os.fspath(path)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise WrongUsage(f"{shown or self.path}: another run is writing to it") from None

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """(FILE:LINE, the line) of every whole line; at last a torn one, which a killed run has left, is cut off."""
        whole = 0
        with open(self.path, "rb") as lines:
            for number, raw in enumerate(lines, 1):
                if not raw.endswith(b"\n"):
                    os.ftruncate(self._file, whole)
                    return
                whole += len(raw)
                yield f"{self.path}:{number}", raw

    def append(self, line: bytes) -> None:
        """Adds a line. Raises OSError, naming the file, where there is no room."""
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            error.filename = self.path
            raise
