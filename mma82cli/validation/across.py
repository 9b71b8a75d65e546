"""The faults of records beside each other: what comes twice, overlaps or contradicts. Fingerprints, places and the spans of
annotations are remembered, some 300 bytes a record; never a record."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from mma82cli.records import DataError, is_number, record_id, show
from mma82cli.taxonomy import Taxonomy
from mma82cli.validation.fields import Fault

FILE = 40  # bits of a place below the number of its file


def _print(data: bytes) -> int:
    """A fingerprint: that any two of a hundred million records have the same has a chance of 3 in 10,000."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


class Across:
    """Remembers what was read. A place is one number, of the file and the line."""

    def __init__(self, labels: Taxonomy):
        self.labels = labels
        self.files: list[str] = []
        self._lines: dict[int, int] = {}
        self._ids: dict[int, int] = {}
        self._domains: dict[str, tuple[str, int]] = {}
        self._spans: dict[int, list[Any]] = {}  # start, end, place, start, end, place, …

    def place(self, file: str, line: int) -> int:
        """A place as one number."""
        if not self.files or self.files[-1] != file:
            self.files.append(file)
        return (len(self.files) - 1) << FILE | line

    def shown(self, place: int) -> str:
        """FILE:LINE."""
        return f"{self.files[place >> FILE]}:{place & (1 << FILE) - 1}"

    def faults(self, record: dict, raw: bytes, place: int) -> Iterator[Fault]:
        """The faults that a record makes with those before it."""
        first = self._lines.setdefault(_print(raw.strip()), place)
        if first != place:
            yield Fault(None, "duplicate-line", f"the line is the same as {self.shown(first)}; expected it once")
            return
        yield from self._id(record, place)
        yield from self._domain(record, place)
        if record.get("annotator") is not None:
            yield from self._overlap(record, place)

    def _id(self, record: dict, place) -> Iterator[Fault]:
        if record.get("annotator") is not None and "id" not in record:
            return
        try:
            name = record_id(record, self._label)
        except DataError:
            return  # a fault of the record by itself
        key = name if record.get("run") is None else f"{name}\0{show(record['run'])}"
        first = self._ids.setdefault(_print(key.encode("utf-8", "surrogatepass")), place)
        if first != place:
            yield Fault("id", "duplicate-id", f"id {show(name)} was at {self.shown(first)} already; expected each once", name)

    def _label(self, label):
        try:
            return self.labels.id(label)
        except DataError:
            return show(label)

    def _domain(self, record: dict, place) -> Iterator[Fault]:
        subject, domain = record.get("subject"), record.get("domain")
        if not isinstance(subject, str) or not isinstance(domain, str):
            return
        known, first = self._domains.setdefault(subject, (domain, place))
        if known != domain:
            message = f"subject {show(subject)} is in domain {show(domain)}, and in {show(known)} at {self.shown(first)}"
            yield Fault("domain", "two-domains", message + "; expected one domain", domain)

    def _overlap(self, record: dict, place) -> Iterator[Fault]:
        """Segments of one annotator, video and label that overlap; named at the later line, beside the first of them."""
        start, end, label = record.get("start"), record.get("end"), self._label(record.get("label"))
        if not is_number(start) or not is_number(end) or end <= start:
            return
        key = _print("\0".join([show(record.get(f), 1 << 20) for f in ("video", "annotator")] + [str(label)]).encode())
        held = self._spans.setdefault(key, [])
        for other_start, other_end, where in zip(held[::3], held[1::3], held[2::3], strict=True):
            if start < other_end and other_start < end:
                message = f"{start:g}-{end:g} s overlaps {other_start:g}-{other_end:g} s at {self.shown(where)}"
                rest = f", of the same annotator ({show(record['annotator'])}) and label; expected them apart"
                yield Fault("start", "overlap", message + rest, start)
                break
        held += (start, end, place)
