"""Several processes at one list of jobs: results in order, few at a time, and nothing left behind when we are stopped."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from mma82cli.records import DataError
from mma82cli.replacing import forget_all


def cores() -> int:
    """How many cores this process may use: a job on a cluster has few of its machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(work: Callable, jobs: Iterable, processes: int) -> Iterator:
    """`work(job)` for each job, in order, by `processes` of them; at most a few results wait at a time.

    Raises what `work` raises, and DataError where a process was killed.
    """
    if processes <= 1:
        yield from map(work, jobs)
        return
    todo = iter(jobs)
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=_start, initargs=(os.getpid(),))
    try:
        waiting = deque(pool.submit(work, job) for job in islice(todo, 3 * processes))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(work, job) for job in islice(todo, 1))
    except BrokenProcessPool:
        raise DataError(f"one of {processes} processes was killed; expected memory for all (--jobs 1 takes least)") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start(parent: int) -> None:
    """A worker leaves the keyboard to its parent, and ends when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for end in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(end) is not signal.SIG_IGN:
            signal.signal(end, _end)
    if sys.platform == "linux":
        try:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        except (OSError, AttributeError):
            pass
        if os.getppid() != parent:
            os._exit(1)


def _end(number: int, _) -> None:
    """A worker that is told to end; it would not run Python's exit handlers."""
    forget_all()
    os._exit(128 + number)
