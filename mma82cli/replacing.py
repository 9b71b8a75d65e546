"""Files and folders written whole or not at all: they grow under another name in the same folder, then take their own.

Whatever ends the process, only `kill -9` leaves the other name behind: `.NAME.….tmp`. Threads and processes may write one
file at once; the last of them wins.
"""

from __future__ import annotations

import atexit
import os
import signal
from typing import IO

NAMED = 50  # letters of the name that the other name keeps: with four bytes each it is still short enough for any disk
_unfinished: set[str] = set()  # of this process
os.register_at_fork(after_in_child=_unfinished.clear)


class Replacing:
    """`with Replacing(path) as temporary`: what stands at `temporary` as the block ends takes the place of `path`.

    An error leaves `path` as it was. A link stays a link: what it leads to is replaced. `ending` is what `temporary` must
    end in, for those who go by it. Raises OSError that names `path`.
    """

    def __init__(self, path: str | os.PathLike, ending: str = ""):
        self.path = os.fspath(path)
        self._target = os.path.realpath(path)
        folder, name = os.path.split(self._target)
        self.temporary = os.path.join(folder, f".{name[:NAMED]}.{os.urandom(8).hex()}.tmp{ending}")
        _unfinished.add(self.temporary)  # before there is a file: a signal may come at any moment

    def __enter__(self) -> str:
        return self.temporary

    def __exit__(self, kind, error, trace) -> None:
        if error is None:
            self.commit()
            return
        self.forget()
        if isinstance(error, OSError) and error.strerror and error.filename in (None, self.temporary):
            error.filename = self.path

    def commit(self, file: IO | None = None) -> None:
        """From here on `path` is the new one. `file`, open at `temporary`, is on the disk first."""
        try:
            if file is not None:
                os.fsync(file.fileno())
            os.replace(self.temporary, self._target)
        except OSError as error:
            self.forget()
            raise OSError(error.errno, error.strerror, self.path) from None
        _unfinished.discard(self.temporary)

    def forget(self) -> None:
        """As if it had never begun."""
        _remove(self.temporary)
        _unfinished.discard(self.temporary)


def forget_killed(path: str | os.PathLike) -> None:
    """Takes away what killed processes had begun to write in place of `path`, which no living one may be at."""
    from pathlib import Path

    for temporary in Path(path).parent.glob(f".{Path(path).name[:NAMED]}.*.tmp"):
        _remove(str(temporary))


def _remove(temporary: str) -> None:
    try:
        os.unlink(temporary)
    except FileNotFoundError:
        pass
    except OSError:  # a folder
        from shutil import rmtree

        rmtree(temporary, ignore_errors=True)


@atexit.register
def forget_all() -> None:
    """The last that a process does: it takes away what it has not finished."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # one more must not cut this short
        signal.signal(number, signal.SIG_IGN)
    for temporary in list(_unfinished):
        _remove(temporary)
