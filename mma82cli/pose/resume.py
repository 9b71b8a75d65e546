"""An output that can be taken up again: whole lines appended to a file, and what is there is not done twice."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b

import orjson

from mma82cli.appending import Appended
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
        self._file = Appended(path, f"--resume {path}")
        self._done = Counter(self._key(raw, place, made) for place, raw in self._file.lines())

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
        """One record as one line. Raises OSError where there is no room."""
        self._file.append(orjson.dumps(record, option=WRITE))
