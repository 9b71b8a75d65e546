"""Several processes at one list of jobs: results in order, few at a time, and nothing left behind when we are stopped."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice


def run(work: Callable, jobs: Iterable, processes: int) -> Iterator:
    """`work(job)` for each job, in order, by `processes` of them; at most a few results wait at a time."""
    if processes <= 1:
        yield from map(work, jobs)
        return
    todo = iter(jobs)
    pool = ProcessPoolExecutor(processes, initializer=_start, initargs=(os.getpid(),))
    try:
        waiting = deque(pool.submit(work, job) for job in islice(todo, 3 * processes))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(work, job) for job in islice(todo, 1))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start(parent: int) -> None:
    """A worker leaves the keyboard to its parent, and ends when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        try:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        except (OSError, AttributeError):
            pass
        if os.getppid() != parent:
            os._exit(1)
