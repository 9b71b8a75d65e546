"""Many clips on many processes, in order.

Each process decodes and estimates on one thread. Clips of one video that follow each other go to the process that has
the video open. `Workers` gives out the work; `in_order` reads ahead a little and returns results as they were asked for.
"""

from __future__ import annotations

import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mma82cli.pose.task import Settings
from mma82cli.records import DataError, WrongUsage

AHEAD = 8  # clips read ahead a process
PACKAGE = Path(__file__).resolve().parent.parent.parent
START = f"import sys; sys.path.insert(0, {str(PACKAGE)!r}); from mma82cli.pose.worker import main; main()"


class _Process:
    """One worker process and the thread that talks to it. `waiting` clips are given to it and not answered."""

    def __init__(self, settings: Settings, events: queue.SimpleQueue):
        self.waiting, self.path = 0, None
        self._settings, self._events = settings, events
        self._process: Any = None
        self.given: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def start(self) -> str:
        """Starts the process; the estimator's title. Raises DataError or WrongUsage where it can't be built."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        return self._ask(self._settings)

    def _ask(self, message):
        pickle.dump(message, self._process.stdin)
        self._process.stdin.flush()
        kind, value = pickle.load(self._process.stdout)
        if kind == "ok":
            return value
        if kind == "fault":
            raise DataError(value[0]) from RuntimeError(value[1])
        raise (WrongUsage if kind == "usage" else DataError)(value)

    def _serve(self) -> None:
        while True:
            number, clip = self.given.get()
            try:
                if self._process is None:
                    self.start()
                result = self._ask(clip)
            except (DataError, WrongUsage) as error:
                result = error
            except (EOFError, OSError, pickle.UnpicklingError):
                result = DataError(f"{clip.path}: the process that decoded it died ({self._ended()})")
            self._events.put((self, number, result))

    def _ended(self) -> str:
        process, self._process = self._process, None
        if process is None:
            return "it did not start"
        code = process.wait()
        return f"signal {-code}" if code < 0 else f"exit status {code}"

    def kill(self) -> None:
        """Ends the process at once."""
        process = self._process
        if process is not None:
            process.kill()
            process.wait()


class Workers:
    """Up to `jobs` processes with one estimator each, started as they are needed; a context manager that ends them."""

    def __init__(self, settings: Settings, jobs: int):
        self.jobs, self._settings = jobs, settings
        self.events: queue.SimpleQueue = queue.SimpleQueue()
        self._processes: list[_Process] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_) -> None:
        for process in self._processes:
            process.kill()

    def title(self) -> str:
        """What the estimator is called (`model` of a record). Raises DataError or WrongUsage where it can't be built."""
        process = _Process(self._settings, self.events)
        self._processes.append(process)
        try:
            return process.start()
        except (EOFError, OSError):
            raise DataError("the pose estimator crashed while it was loaded") from None

    def give(self, number: int, clip) -> None:
        """Gives clip `number` to a process; `events` will hold (process, number, fields or the error)."""
        least = min(self._processes, key=lambda p: p.waiting, default=None)
        chosen = next((p for p in self._processes if p.path == clip.path and p.waiting < AHEAD), None)
        if chosen is None:
            if (least is None or least.waiting) and len(self._processes) < self.jobs:
                least = _Process(self._settings, self.events)
                self._processes.append(least)
            chosen = least
        chosen.path = clip.path
        chosen.waiting += 1
        chosen.given.put((number, clip))


def in_order(asked: Iterable, workers: Workers) -> Iterator[tuple]:
    """(tag, fields or error) for each (tag, clip or error) of `asked`, in its order, each as soon as it is known.

    `asked` is read in a thread of its own, a few clips ahead, so that a result never waits for the next line of a slow
    stream. What it raises is raised here, after everything that came before.
    """
    room = threading.Semaphore(AHEAD * workers.jobs)
    threading.Thread(target=_read, args=(asked, workers.events, room), daemon=True).start()
    tags: dict[int, object] = {}
    results: dict[int, object] = {}
    asked_for = answered = 0
    ending = None
    while ending is None or answered < asked_for:
        process, number, value = workers.events.get()
        if process is not None:
            process.waiting -= 1
            results[number] = value
        elif isinstance(value, BaseException):
            ending = value
        else:
            tags[asked_for], wanted = value
            if isinstance(wanted, Exception):
                results[asked_for] = wanted
            else:
                workers.give(asked_for, wanted)
            asked_for += 1
        while answered in results:
            yield tags.pop(answered), results.pop(answered)
            answered += 1
            room.release()
    if not isinstance(ending, StopIteration):
        raise ending


def _read(asked: Iterable, events: queue.SimpleQueue, room: threading.Semaphore) -> None:
    """Puts each of `asked` among the events, then waits for room for the next; at last StopIteration, or what was raised."""
    try:
        for pair in asked:
            events.put((None, None, pair))
            room.acquire()
        events.put((None, None, StopIteration()))
    except BaseException as error:
        events.put((None, None, error))
