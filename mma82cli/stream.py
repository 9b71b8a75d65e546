"""JSON Lines in and out: line numbers, atomic output, closed pipes, progress.

A command holds one `Pipe`. Lines come with the place they were read at, so that every error names it;
output is flushed before each read that may block, so a record leaves as soon as it can at no cost a record.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

import orjson

from mma82cli.records import DataError, WrongUsage
from mma82cli.replacing import Replacing

BOM = b"\xef\xbb\xbf"
OTHERS = "`mma82 convert --from FORMAT` makes them of other files"
BUFFER = 1 << 18
WRITE = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE


class Line(NamedTuple):
    """A record and where it was read: `file` as named by the user (`<stdin>`), `number` from 1 (words where the file is
    not one of lines: `item 3, segment 1`). What is no object stays the text that it is, to be rejected."""

    record: Any
    file: str
    number: int | str

    @property
    def place(self) -> str:
        """For messages: `FILE:NUMBER`."""
        return f"{self.file}:{' ' * isinstance(self.number, str)}{self.number}"


def parse(raw: bytes, number: int) -> dict:
    """The object on one line. Raises DataError with the column."""
    if number == 1 and raw.startswith(BOM):
        raw = raw[len(BOM) :]
    try:
        record = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _explained(raw, number, error) from None
    if type(record) is not dict:
        kind = {list: "an array", str: "a string", type(None): "null", bool: "a boolean"}.get(type(record), "a number")
        raise DataError(f"found {kind}; expected one JSON object a line")
    return record


def _explained(raw: bytes, number: int, error: orjson.JSONDecodeError) -> DataError:
    if b"\0" in raw and number == 1 and not raw.startswith(b"{"):
        return DataError(f"found a binary file; expected JSON Lines ({OTHERS}; videos are named so: {{\"video\":\"x.mp4\"}})")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as bad:
        return DataError(f"bad UTF-8, byte 0x{raw[bad.start]:02x}; expected UTF-8 text", bad.start + 1)
    if raw.strip() in (b"{", b"["):
        return DataError("broken JSON; expected one object a line (`jq -c .` makes lines of pretty-printed JSON)", error.colno)
    other = f" ({OTHERS})" if number == 1 and b"{" not in raw else ""
    return DataError(f"broken JSON ({json_fault(error)}); expected one JSON object a line{other}", error.colno)


def json_fault(error: orjson.JSONDecodeError) -> str:
    """What is wrong with JSON; Python writes NaN and Infinity, which it has not."""
    rest = error.doc[max(error.pos - 1, 0) :]
    found = next((word for word in ("NaN", "Infinity") if rest.startswith(word) or rest[1:].startswith(word)), None)
    return f"{found} is no number in JSON" if found else error.msg.split(": line")[0]


class _Source(io.FileIO):
    """A file whose every read is announced, so that output waiting in a buffer can leave first."""

    def __init__(self, file, before: Callable[[], None], **options):
        super().__init__(file, "rb", **options)
        self._before = before

    def readinto(self, buffer):
        self._before()
        return super().readinto(buffer)


class DamagedFile(DataError):
    """A compressed file that ends early, or is not what it was; the message names it."""


class _Unzipped(gzip.GzipFile):
    """What is in a gzip file. Raises DamagedFile."""

    def __init__(self, name: str, zipped: BinaryIO):
        super().__init__(fileobj=zipped)
        self._name = name

    def read(self, size=-1):
        try:
            return super().read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DamagedFile(f"{self._name}: damaged gzip data ({error})") from None


class Input:
    """The lines of the FILEs in order; no FILE, or `-`, is standard input; gzip is read as it is."""

    def __init__(self, files: list[str] | None, before: Callable[[], None] = lambda: None):
        self.files = list(files or ["-"])
        self._before = before
        self.begun: Iterator[tuple[str, Iterable[bytes]]] | None = None  # what `by_file` gives where someone has peeked
        if "-" in self.files and sys.stdin is not None and sys.stdin.isatty():
            raise WrongUsage("standard input is a terminal; give a FILE, or pipe records in (--help shows how)")

    def __iter__(self) -> Iterator[tuple[str, int, bytes]]:
        """(file, line number, bytes) of every line that is not blank."""
        for file, lines in self.by_file():
            for number, raw in enumerate(lines, 1):
                if raw.strip():
                    yield file, number, raw

    def by_file(self) -> Iterator[tuple[str, Iterable[bytes]]]:
        """(name, open binary file) of every FILE in turn, for loops that count their own lines."""
        return self.begun or self._opened()

    def _opened(self) -> Iterator[tuple[str, Iterable[bytes]]]:
        for file in self.files:
            name = "<stdin>" if file == "-" else file
            try:
                raw = _Source(0, self._before, closefd=False) if file == "-" else _Source(file, self._before)
            except OSError as error:
                raise DataError(f"{name}: {error.strerror}") from None
            buffered = io.BufferedReader(raw, BUFFER)
            with buffered:
                try:
                    zipped = buffered.peek(2)[:2] == b"\x1f\x8b"
                except OSError as error:  # a directory opens and then can't be read
                    raise DataError(f"{name}: {error.strerror}") from None
                yield name, io.BufferedReader(_Unzipped(name, buffered), BUFFER) if zipped else buffered


class _Sink(io.FileIO):
    """A file whose errors name it as the person does."""

    def __init__(self, file: str | int, name: str, mode: str = "wb"):
        try:
            super().__init__(file, mode, closefd=isinstance(file, str))
        except OSError as error:
            raise OSError(error.errno, error.strerror, name) from None
        self.name = name

    def write(self, data):
        try:
            return super().write(data)
        except OSError as error:
            error.filename = self.name
            raise


class Output:
    """Bytes to stdout, or to a file that is replaced only when `commit` is reached."""

    def __init__(self, path: str | None = None):
        self.path = path
        self._replacing: Replacing | None = None
        self.name = path or "<stdout>"
        if path is None or _in_place(path):
            sink = _Sink(path or 1, self.name)
        else:
            replacing = Replacing(path)
            try:
                sink = _Sink(replacing.temporary, path, "xb")
            except BaseException:
                replacing.forget()
                raise
            self._replacing = replacing
        self._file = io.BufferedWriter(sink, BUFFER)
        self.write = self._file.write
        self._zip = None
        if path and path.endswith(".gz"):
            self._zip = gzip.GzipFile(filename="", mode="wb", fileobj=self._file, mtime=0)
            self.write = self._zip.write

    def __enter__(self) -> Output:
        return self

    def __exit__(self, kind, error, trace) -> None:
        """Complete, or as if it had never begun."""
        try:
            if kind is None:
                self.commit()
        finally:
            self.abort()

    def flush(self) -> None:
        """Lets what is buffered leave, where somebody reads as we write (not for a file that isn't there yet)."""
        if self._replacing is None:
            self._file.flush()

    def commit(self) -> None:
        """Completes the output; from here on the file is the new one."""
        if self._zip:
            self._zip.close()
        self._file.flush()
        if self._replacing:
            self._replacing.commit(self._file)
            self._replacing = None
        if self.path is not None:
            self._file.close()

    def abort(self) -> None:
        """Forgets an unfinished file. Lines already written to stdout leave: they are whole."""
        if self._file.closed:
            return
        if self._replacing:
            with suppress(OSError):  # it tries to write what it still holds
                self._file.close()
            self._replacing.forget()
            self._replacing = None
            return
        try:
            self._file.flush()
        except OSError:  # nobody takes it: let it go nowhere, or Python would try once more as it ends, and complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())
            raise


def _in_place(path: str) -> bool:
    """A device or a named pipe can't be replaced, nor /dev/stdout, even while it leads to a file."""
    device = os.path.dirname(os.path.abspath(path)) in ("/dev", "/dev/fd")
    return device or (os.path.exists(path) and not os.path.isfile(path))


class Pipe:
    """What a command holds: records in, records out, words to the person on stderr.

    command    its name, for messages
    files      the FILE arguments
    output     `-o FILE`, or None for stdout
    quiet      nothing on stderr but errors
    progress   False hides the bar
    on_error   "stop" at the first bad record, or "skip" it and tell stderr
    """

    def __init__(self, command, files=None, output=None, quiet=False, progress=True, on_error="stop"):
        self.command, self.files, self.quiet, self.on_error = command, files, quiet, on_error
        self.bar = progress and not quiet and sys.stderr is not None and sys.stderr.isatty()
        self.out = Output(output)
        self.given: list[str] = []  # the options and arguments that were called with another value than their default
        self.skipped = 0
        self.muted = False
        self.apart = False  # each of several processes has its own share from here on: its errors are known to it alone
        self._peeked: Input | None = None

    # -- in ------------------------------------------------------------------------------------------------

    def input(self) -> Input:
        """The raw lines, for a command with a loop of its own."""
        opened, self._peeked = self._peeked, None
        return opened or Input(self.files, self.out.flush)

    def peek(self) -> dict | None:
        """The first record, which stays in the pipe; None where no line is one."""
        source = self._peeked = self.input()
        files = source.by_file()
        held: list[tuple[str, list[bytes], Iterable[bytes]]] = []
        source.begun = chain(((file, chain(read, rest)) for file, read, rest in held), files)
        for file, lines in files:
            read: list[bytes] = []
            held.append((file, read, lines))
            for raw in lines:
                read.append(raw)
                with suppress(DataError):  # blank, or for the reading to come to complain about
                    return parse(raw, len(read))
            held[-1] = file, read, ()
        return None

    def lines(self) -> Iterator[Line]:
        """Every record with its place; a line that is no object is reported or skipped."""
        for file, number, raw in self.input():
            try:
                record = parse(raw, number)
            except DataError as error:
                self.reject(Line(raw.decode("utf-8", "replace").strip(), file, number), error)
            else:
                yield Line(record, file, number)

    def read(self, check: Callable[[dict], object] | None = None) -> Iterator[dict]:
        """Every record, after `check` has raised DataError on the bad ones."""
        for line in self.lines():
            if check is not None:
                try:
                    check(line.record)
                except DataError as error:
                    self.reject(line, error)
                    continue
            yield line.record

    def reject(self, line: Line, error: Exception | str) -> None:
        """A record turns out bad: stop with its place, or under `--on-error skip` set it aside."""
        column = getattr(error, "column", None)
        place = line.place + (f":{column}" if column else "")
        if self.on_error != "skip":
            raise DataError(f"{place}: {error}")
        self.skipped += 1
        where = {"line": None, "place": line.number} if isinstance(line.number, str) else {"line": line.number}
        fault = {"error": f"{place}: {error}", "file": line.file, **where, "record": line.record}
        self._say(orjson.dumps(fault).decode())

    # -- out -----------------------------------------------------------------------------------------------

    def write(self, record) -> None:
        """One record as a line. Numpy arrays are written as lists; they must be contiguous and finite."""
        self.out.write(orjson.dumps(record, option=WRITE))

    def filter(self, work: Callable[[dict], dict | None]) -> None:
        """Writes `work(record)` for each record, in order, as soon as it can; None drops the record."""
        for line in self.lines():
            try:
                result = work(line.record)
            except DataError as error:
                self.reject(line, error)
                continue
            if result is not None:
                self.write(result)

    # -- to the person -------------------------------------------------------------------------------------

    def note(self, message: str) -> None:
        """Tells the person something; `-q` silences it."""
        if not self.quiet:
            self._say(f"mma82 {self.command}: {message}")

    def mute(self) -> None:
        """One of several processes that do the same work: another one writes, and speaks."""
        self.out.abort()
        self.out = Output(os.devnull)
        self.quiet, self.bar, self.muted = True, False, True

    def _say(self, text: str) -> None:
        if self.muted:
            return
        if self.bar:
            from tqdm import tqdm

            tqdm.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def total(self) -> int | None:
        """How many records the FILEs hold, for a bar to say what is left; None where no bar shows, or for standard input."""
        if not self.bar or "-" in (self.files or ["-"]):
            return None
        return sum(1 for _ in Input(self.files))

    def progress(self, iterable=None, total: int | None = None, unit: str = "rec"):
        """A progress bar (tqdm) on stderr where that is a terminal; elsewhere it does nothing."""
        from tqdm import tqdm

        return tqdm(iterable, total=total, unit=" " + unit, disable=not self.bar, file=sys.stderr, leave=False)
