"""Parts of files for several processes: byte ranges that begin and end with lines, where every FILE is a plain file."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mma82cli.stream import BOM, BUFFER, Input

STDIN = "/dev/fd/0"  # a way to open it once more


class Piece(NamedTuple):
    """The bytes from `begin` up to `end` of a file."""

    path: str
    begin: int
    end: int


def shares(files: list[str] | None, n: int) -> list[list[Piece]] | None:
    """`n` lists of pieces, about equally long, that hold all lines of the FILEs in order; None where a FILE can't be read
    from the middle (a pipe, gzip) and one process has to read it all. To be asked before anything is read."""
    wholes = [_whole(file) for file in files or ["-"]]
    if None in wholes:
        return None
    total = sum(whole.end - whole.begin for whole in wholes)
    given, parts = 0, [[] for _ in range(n)]
    for whole in wholes:
        size, begin = whole.end - whole.begin, whole.begin
        for k in range(n):
            end = whole.end if k == n - 1 else _line_end(whole, (k + 1) * total // n - given)
            if end is None:
                return None
            if end > begin:
                parts[k].append(Piece(whole.path, begin, end))
                begin = end
        given += size
    return [part for part in parts if part]


def _whole(file: str) -> Piece | None:
    path = STDIN if file == "-" else file
    try:
        begin = os.lseek(0, 0, os.SEEK_CUR) if file == "-" else 0
        with open(path, "rb") as opened:
            status = os.fstat(opened.fileno())
            opened.seek(begin)
            if not stat.S_ISREG(status.st_mode) or opened.read(2) == b"\x1f\x8b":
                return None
    except OSError:
        return None  # who reads it says what is wrong
    return Piece(path, begin, max(begin, status.st_size))


def _line_end(whole: Piece, offset: int) -> int | None:
    """Where the line ends that holds the byte at `offset` of the piece; None where what follows would pass for a new file."""
    if offset <= 0 or offset >= whole.end - whole.begin:
        return whole.begin if offset <= 0 else whole.end
    with open(whole.path, "rb") as opened:
        opened.seek(whole.begin + offset - 1)
        opened.readline()
        end = opened.tell()
        return None if opened.read(len(BOM)) == BOM else min(end, whole.end)


class Part(Input):
    """The input of a process that reads pieces only."""

    def __init__(self, pieces: list[Piece]):
        super().__init__([piece.path for piece in pieces])
        self.pieces = pieces

    def by_file(self) -> Iterator[tuple[str, Iterable[bytes]]]:
        """(name, open binary file that ends with the piece) of every piece."""
        for piece in self.pieces:
            with io.BufferedReader(_Range(piece), BUFFER) as lines:
                yield "<stdin>" if piece.path == STDIN else piece.path, lines


class _Range(io.FileIO):
    """A file that ends early."""

    def __init__(self, piece: Piece):
        super().__init__(piece.path, "rb")
        self.seek(piece.begin)
        self._left = piece.end - piece.begin

    def readinto(self, buffer):
        n = super().readinto(memoryview(buffer)[: self._left])
        self._left -= n
        return n
