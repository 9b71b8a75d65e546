"""A published split: a file that says who is where, how that was made, and that it is whole.

Its first line is a header, {"header": "split", "signature", "sha256", "records"}; the signature names every choice that
changes the split, the hash is of the lines that follow. They hold a record's id, its group, and what was added to it.
The header is in this file, and not in the stream of records: there every line is a record.
"""

from __future__ import annotations

import hashlib

import orjson

from mma82cli import __version__
from mma82cli.records import DataError, show, text
from mma82cli.stream import Input, parse

ADDED = ("split", "support_runs", "protocol")


def is_header(record: dict) -> bool:
    """True for the first line of a published split."""
    return record.get("header") == "split"


class Publisher:
    """Gathers the lines of a published split; `content` is the whole file. `field` names the group."""

    def __init__(self, field: str):
        self.field = field
        self._names: set[str] = set()
        self._lines = bytearray()  # a line that orjson made takes 4 kB for as long as it is kept

    def add(self, name: str, group: str, added: dict) -> None:
        """Takes a record's id, its group and what was added. Raises DataError where the id came before."""
        if name in self._names:
            raise DataError(f"id {show(name)} comes again; expected each once in a published split")
        self._names.add(name)
        self._lines += orjson.dumps({"id": name, self.field: group, **added}, option=orjson.OPT_APPEND_NEWLINE)

    def content(self, choices: dict) -> bytes:
        """The file. `choices` is what the split is a function of, beside the records."""
        digest = hashlib.sha256(self._lines).hexdigest()
        signed = choices | {"hash": digest[:16], "version": __version__}
        signature = "|".join(f"{name}:{value}" for name, value in signed.items())
        header = {"header": "split", "signature": signature, "sha256": digest}
        return orjson.dumps(header | {"records": len(self._names)}, option=orjson.OPT_APPEND_NEWLINE) + self._lines


def read(path: str) -> tuple[str, dict[str, dict]]:
    """(signature, {id: what was added}) of a published split. Raises DataError where it is none, or was changed."""
    header, digest, added = None, hashlib.sha256(), {}
    for name, number, raw in Input([path]):
        try:
            record = parse(raw, number)
            if header is None:
                if not is_header(record):
                    raise DataError(f"found {show(record)}; expected the header of a published split")
                header = record
                continue
            added[text(record, "id")] = {field: record[field] for field in ADDED if field in record}
        except DataError as error:
            raise DataError(f"{name}:{number}: {error}") from None
        digest.update(raw if raw.endswith(b"\n") else raw + b"\n")
    if header is None:
        raise DataError(f"{path}: no line; expected a published split")
    if digest.hexdigest() != header.get("sha256"):
        found = f"{digest.hexdigest()[:12]}… of {len(added)} records"
        wanted = f"{str(header.get('sha256'))[:12]}… of {header.get('records')}, as its header says"
        raise DataError(f"{path}: the hash is {found}; expected {wanted}: the file was changed")
    return str(header.get("signature")), added
