"""Public files by name (pretrained networks): fetched once, kept in the cache, verified on every use.

`share/mma82/models/public.toml` names them:

    [rtmpose-m]
    url = "https://…/rtmpose-m_….zip"
    member = "end2end.onnx"      # the file inside a zip: the one whose path ends so; absent: the URL's own file
    sha256 = "5c0a4bf6…"         # of the file as it is kept, or its first digits as far as they are known
    layout = "coco17"            # other keys are the caller's: how to feed a network, say

Where not all of the hash is known, the rest is pinned on first use in a file NAME.sha256 beside it; what a server names
as the hash of a file that it leads to (Hugging Face's does) must be the one of what came. A torn download is
taken up where it ended; processes that want one file at the same time fetch it once.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlparse

from mma82cli import __version__, share
from mma82cli.records import DataError, WrongUsage, show
from mma82cli.replacing import Replacing

CHUNK = 1 << 20
PATIENCE = 30.0  # seconds without a byte
ATTEMPTS = 4  # at one file, each going on where the last ended
NEWS = 10.0  # seconds from one word about the progress to the next
_OWN = ("url", "member", "sha256")
_HASH = re.compile("[0-9a-f]{8,64}")
_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+)")

Tell = Callable[[str], object]


@dataclass(frozen=True)
class PublicFile:
    """A row of public.toml; `card` holds the keys that are not this module's."""

    name: str
    url: str
    member: str = ""
    sha256: str = ""
    card: dict = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Where the cache keeps it."""
        return share.cache_dir() / (self.name + Path(self.member or _basename(self.url)).suffix)


def public_files() -> dict[str, PublicFile]:
    """The table by name. Raises DataError where a row is not one."""
    table = share.share_dir() / "models" / "public.toml"
    return {name: _row(table, name, row) for name, row in share.load_toml(table).items()}


def _row(table: Path, name: str, row) -> PublicFile:
    if not isinstance(row, dict) or not str(row.get("url", "")).startswith(("https://", "http://")):
        raise DataError(f"{table}: [{name}] has no 'url' that begins with https:// or http://")
    if not _HASH.fullmatch(row.get("sha256", "0" * 8)):
        raise DataError(f"{table}: 'sha256' of [{name}] is {show(row['sha256'])}; expected 8 to 64 hexadecimal digits")
    card = {key: value for key, value in row.items() if key not in _OWN}
    return PublicFile(name, row["url"], row.get("member", ""), row.get("sha256", ""), card)


def find(name: str) -> PublicFile:
    """The row of `name`. Raises WrongUsage naming those there are."""
    files = public_files()
    if name not in files:
        raise WrongUsage(f"no public file '{name}'; there are: {', '.join(files)}")
    return files[name]


def cached(name: str) -> bool:
    """True where `fetch` would need no network; False for an unknown name."""
    file = public_files().get(name)
    return file is not None and file.path.is_file()


def fetch(name: str, tell: Tell = lambda _: None) -> Path:
    """The file `name` in the cache, fetched if it is not there, its hash verified.

    `tell` is given a line for the person where something takes time or is done on trust. Raises WrongUsage for an unknown
    name, DataError where the network, the file or its hash fails; it says where to put the file by hand.
    """
    file = find(name)
    path = file.path
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            if not path.is_file():  # another process may have brought it
                _bring(file, path, tell)
    _verify(file, path, tell)
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _verify(file: PublicFile, path: Path, tell: Tell) -> None:
    """Raises DataError where `path` is not the file it was. What nobody vouches for is pinned as it is found."""
    digest = _digest(path)
    pin = Path(f"{path}.sha256")
    known = file.sha256
    if len(known) < 64 and pin.is_file():
        known = pin.read_text().strip()
    if not digest.startswith(known):
        raise DataError(f"{path}: its sha256 is {digest}; expected {known}: remove it, and it is fetched again")
    if len(known) < 64:
        how_far = f"only its first {len(known)} digits are known" if known else "its publisher names none"
        tell(f"{file.name}: sha256 {digest} is taken on trust from now on ({how_far})")
        _pin(path, digest)


def _pin(path: Path, digest: str) -> None:
    with Replacing(Path(f"{path}.sha256")) as temporary:
        Path(temporary).write_text(digest + "\n")


def _digest(path: str | Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as data:
        while chunk := data.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


# -- the network ---------------------------------------------------------------------------------------------------


def _bring(file: PublicFile, path: Path, tell: Tell) -> None:
    """Puts the file at `path` in one step, once it is whole and its hash is right.

    What was taken up from a torn download and turns out wrong is fetched once more from its beginning.
    """
    part = Path(f"{path}.part")
    while True:
        resumed = part.exists() and part.stat().st_size > 0
        named = _download(file, part, path, tell)
        expected = file.sha256 or ("" if file.member else named)
        try:
            if file.member:
                with Replacing(path) as unpacked:
                    _unpack(file, part, unpacked)
                    _check(file, unpacked, expected)
            else:
                _check(file, part, expected)
                os.replace(part, path)
        except DataError:
            part.unlink(missing_ok=True)
            if resumed:
                continue
            raise
        part.unlink(missing_ok=True)
        if named and expected == named and not Path(f"{path}.sha256").exists():
            _pin(path, named)
        return


def _check(file: PublicFile, path: str | Path, expected: str) -> None:
    found = _digest(path)
    if not found.startswith(expected):
        raise DataError(f"{file.url}: the sha256 of what came is {found}; expected {expected}")


def _unpack(file: PublicFile, part: Path, path: str) -> None:
    try:
        with zipfile.ZipFile(part) as archive:
            found = [n for n in archive.namelist() if n == file.member or n.endswith("/" + file.member)]
            if len(found) != 1:
                raise DataError(f"{file.url}: {len(found)} files end in '{file.member}'; expected one")
            with archive.open(found[0]) as source, open(path, "xb") as sink:
                while chunk := source.read(CHUNK):
                    sink.write(chunk)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise DataError(f"{file.url}: what came is no zip that can be read ({error})") from None


def _download(file: PublicFile, part: Path, path: Path, tell: Tell) -> str:
    """Fills `part` to the end of the URL's file; -> the hash that the server names, if any. Raises DataError where the file
    can't be had."""
    reason, way = "", _Way()
    for attempt in range(ATTEMPTS):
        time.sleep(0.3 * attempt)
        try:
            if _take(file, part, path, tell, way):
                return way.named
            reason = "the connection ended early"
        except urllib.error.HTTPError as error:
            reason = f"the server answers {error.code} {error.reason}"
            if error.code < 500:
                break
        except urllib.error.URLError as error:  # nobody answers
            reason = str(error.reason)
            break
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
    by_hand = f"put {file.member or _basename(file.url)}" + (f" (from {_basename(file.url)})" if file.member else "")
    raise DataError(f"{file.name} can't be fetched from {file.url} ({reason}); offline, {by_hand} at {path}")


class _Way(urllib.request.HTTPRedirectHandler):
    """Goes where servers lead; `named` is the hash that one of them named of the file there."""

    named = ""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        tag = headers.get("X-Linked-ETag", "").strip('"')
        self.named = tag if re.fullmatch("[0-9a-f]{64}", tag) else self.named
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _take(file: PublicFile, part: Path, path: Path, tell: Tell, way: _Way) -> bool:
    """One request for what `part` lacks; True where it then holds all of the file."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": f"mma82/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        request = urllib.request.Request(file.url, headers=headers)
        answer = urllib.request.build_opener(way).open(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # it has no more bytes than we have
            raise
        limit = _RANGE.match(error.headers.get("Content-Range", ""))
        if limit and int(limit[2]) == have:
            return True
        part.unlink()
        return False
    with answer:
        start = _RANGE.match(answer.headers.get("Content-Range", "")) if answer.status == 206 else None
        if not (start and start[1] and int(start[1]) == have):
            have = 0  # the whole file comes
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        tell(f"fetching {file.name} ({_size(total)}) from {file.url} into {path}")
        with open(part, "ab" if have else "wb") as sink:
            have += _copy(answer, sink, lambda got: tell(f"{file.name}: {_size(have + got)} of {_size(total)}"))
    return total is None or have >= total


def _copy(source, sink, news: Callable[[int], object]) -> int:
    """Bytes that came until the source ended, or broke off."""
    got, told = 0, time.monotonic()
    while True:
        try:
            chunk = source.read1(CHUNK)
        except http.client.IncompleteRead:
            return got
        if not chunk:
            return got
        sink.write(chunk)
        got += len(chunk)
        if time.monotonic() - told > NEWS:
            told = time.monotonic()
            news(got)


def _basename(url: str) -> str:
    return unquote(os.path.basename(urlparse(url).path))


def _size(count: int | None) -> str:
    return "size unknown" if count is None else f"{count / 1e6:.1f} MB"
