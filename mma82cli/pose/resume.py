"""An output that can be taken up again: whole lines appended to a file, and what is there is not done twice."""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from hashlib import blake2b

import orjson

from mma82cli.records import DataError, WrongUsage, record_id, show
from mma82cli.stream import WRITE


def key(record: dict) -> bytes:
    """What a record is known by: its id, video and span. 12 bytes, so that a million of them fit in memory."""
    named = [record_id(record), *(record.get(field) for field in ("video", "start", "end"))]
    return blake2b(orjson.dumps(named), digest_size=12).digest()


class ResumeFile:
    """FILE, its torn last line cut off. `made` (`model`, `layout`) says how its joints are made; others are an error.

    Raises DataError with FILE:LINE where a whole line is no record, WrongUsage where another run writes to it.
    """

    def __init__(self, path: str, made: dict[str, str]):
        if path.endswith(".gz"):
            raise WrongUsage(f"--resume {path}: a compressed file can't be appended to; expected plain JSON Lines")
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise WrongUsage(f"--resume {path}: another run is writing to it") from None
        self._done: Counter = Counter()
        whole = 0
        with open(path, "rb") as lines:
            for number, raw in enumerate(lines, 1):
                if not raw.endswith(b"\n"):
                    break
                self._done[self._key(raw, f"{path}:{number}", made)] += 1
                whole += len(raw)
        if whole < os.fstat(self._file).st_size:
            os.ftruncate(self._file, whole)

    @staticmethod
    def _key(raw: bytes, place: str, made: dict[str, str]) -> bytes:
        try:
            record = orjson.loads(raw)
            known = key(record)
        except (orjson.JSONDecodeError, DataError, AttributeError):
            raise DataError(f"{place}: not a record of an earlier run; expected the output that --resume continues") from None
        for field, value in made.items():
            if record.get(field) != value:
                raise DataError(f"{place}: '{field}' is {show(record.get(field))}; expected {show(value)}, which this run uses")
        return known

    def done(self, record: dict) -> bool:
        """True when the file holds `record`; each line of it answers once."""
        known = key(record)
        if not self._done[known]:
            return False
        self._done[known] -= 1
        return True

    def append(self, record: dict) -> None:
        """One record as one line, in one write. Raises OSError where there is no room."""
        line = memoryview(orjson.dumps(record, option=WRITE))
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as error:
            error.filename = self._path
            raise
