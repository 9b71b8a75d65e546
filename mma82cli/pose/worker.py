"""One process that extracts clips: `Settings` and then `Clip`s come in pickled on stdin, results leave on stdout.

A process of its own keeps a decoder that crashes on a damaged file, and what native libraries print, away from the rest.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from typing import Any

from mma82cli.records import DataError, WrongUsage


def main() -> None:
    """Answers `(kind, value)` to each message, `kind` "ok" or the error's, until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the one who gives the work ends it
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    state = _State()
    while True:
        try:
            message = pickle.load(source)
        except EOFError:
            return
        pickle.dump(_answer(state, message), sink)
        sink.flush()


class _State:
    """What the first message makes."""

    extract: Any = None
    reader: Any = None


def _answer(state: _State, message) -> tuple[str, object]:
    from mma82cli.pose.task import Settings

    try:
        if isinstance(message, Settings):
            import cv2

            from mma82cli.pose.builder import build_extractor
            from mma82cli.video import Reader

            cv2.setNumThreads(1)
            state.reader, state.extract = Reader(), build_extractor(message)
            return "ok", state.extract.title
        return "ok", state.extract(message, state.reader)
    except DataError as error:
        return "data", str(error)
    except ImportError as error:
        return "usage", f"{error}; decoding video needs OpenCV: pip install opencv-python-headless"
    except WrongUsage as error:
        return "usage", str(error)
    except Exception as error:  # a library's own error about this file must not end the others
        return "fault", (f"{type(error).__name__}: {error}", traceback.format_exc())
