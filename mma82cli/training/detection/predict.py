"""What a detector finds in films of any length: window by window, in memory that doesn't grow with them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from mma82cli.crew import cores
from mma82cli.detection import proposals, suppress, windows
from mma82cli.detection.proposals import Proposals
from mma82cli.models.adatad import AdaTAD, level_masks
from mma82cli.records import DataError
from mma82cli.rgb.pictures import cut
from mma82cli.training.detection.packing import pack
from mma82cli.training.detection.recipe import AdaTADRecipe
from mma82cli.training.detection.views import middle
from mma82cli.training.device import autocast, one_core_each
from mma82cli.video import Clip, Source
from mma82cli.video.clips import step_of

AT_ONCE = 8  # windows a forward pass of a GPU; a CPU's cores take one each


class Window(NamedTuple):
    """Frames (T, size, size, 3) RGB uint8 of a clip's window, their times (T,), s, and after the last window when the clip ends,
    s, all from its start; or why there is no window (and will be none)."""

    frames: np.ndarray
    times: np.ndarray
    end: float | None = None
    error: DataError | None = None


class Found(NamedTuple):
    """A clip's proposals (see `Proposals`), best first, and when it ends, as far as it can be decoded: all in seconds from its
    start."""

    segments: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    end: float


class Detector:
    """detect(clips) -> what is Found in each, or a DataError where it can't be read. `raw`: as it is before suppression."""

    def __init__(
        self, model: AdaTAD, recipe: AdaTADRecipe, source: Source, device: torch.device, dtype=torch.float32, raw: bool = False
    ):
        self.model, self.recipe, self.source = model.to(device).eval(), recipe, source
        self.device, self.dtype, self.raw = device, dtype, raw
        self.hop = windows.hop_of(recipe.window, recipe.overlap)

    def __call__(self, clips: Iterable[Clip]) -> Iterator[Found | DataError]:
        """In the order of the clips. Windows of several clips go through the network together, or a core each."""
        threads = torch.get_num_threads()
        on_cpu = self.device.type == "cpu"
        workers, size = (threads, threads) if on_cpu else (1, AT_ONCE)
        held: list[Proposals] = []
        most, depth = (2, size + 1) if on_cpu else (cores(), 2)  # clips, and windows of each
        coming = _ahead(map(self._windows, clips), most, depth)
        try:
            with one_core_each(workers) as pool:
                while batch := list(islice(coming, size)):
                    good = [window for window in batch if window.error is None]
                    parts = [good[i::workers] for i in range(workers)]
                    found = [iter(part) for part in pool.map(self._found, parts)]
                    answers = (next(found[i % workers]) for i in range(len(good)))
                    for window in batch:
                        held = held if window.error else self._fewer([*held, next(answers)])
                        if window.end is not None:
                            yield window.error or self._finished(held, window.end)
                            held = []
        finally:
            coming.close()
            torch.set_num_threads(threads)

    def _windows(self, clip: Clip) -> Iterator[Window]:
        """The clip's windows; the last may be an error."""
        size, none = self.recipe.size, np.zeros(0)
        try:
            frames = self.source.stream(clip, self.recipe.stride)
            seen = ((time - clip.start, cut([frame], middle(*frame.shape[1::-1]), size)[0]) for time, frame in frames)
            last = False
            for _, held, last in windows.stream(seen, self.recipe.window, self.hop):
                times = np.array([time for time, _ in held])
                yield Window(np.stack([frame for _, frame in held]), times, self._end(clip, times) if last else None)
            if not last:
                raise DataError(f"{clip}: not one frame can be decoded there; expected some")
        except DataError as error:
            yield Window(none, none, 0.0, error)

    def _end(self, clip: Clip, times: np.ndarray) -> float:
        """Seconds from the clip's start to its end, where its last frame has been as long as the others."""
        last = self.source.last(clip) + step_of(times) / self.recipe.stride
        return (last if clip.end is None else min(last, clip.end)) - clip.start

    @torch.inference_mode()
    def _found(self, batch: list[Window]) -> list[Proposals]:
        """The proposals of each window, in seconds."""
        if not batch:
            return []
        recipe = self.recipe
        packed = pack([window.frames for window in batch], recipe.window, recipe.fill, self.device, recipe.still)
        with autocast(self.device, self.dtype):
            levels = self.model.detect(self.model.features(packed.clips, packed.windows, packed.lengths), packed.mask)
        if not all(bool(torch.isfinite(logits).all()) for logits, _, _ in levels):
            raise DataError("the network's output is not finite; expected logits: the checkpoint is damaged or diverged")
        decoded = proposals.decode(levels, level_masks(packed.mask, len(levels)))
        return [
            proposals.in_seconds(
                proposals.best(segments, scores, recipe.least_score, recipe.proposals), window.times, step_of(window.times)
            )
            for window, (segments, scores) in zip(batch, decoded, strict=True)
        ]

    def _fewer(self, held: list[Proposals]) -> list[Proposals]:
        """The best of a film's proposals so far, where they become many."""
        most = self.recipe.proposals
        return [_ranked(Proposals.joined(held), most)] if sum(len(p.scores) for p in held) > 4 * most else held

    def _finished(self, held: list[Proposals], end: float) -> Found:
        """A film's proposals, cut at its `end`, ranked, and (unless raw) suppressed. Boundaries are in single precision, as
        `mma82 suppress` has them."""
        recipe, found = self.recipe, _ranked(Proposals.joined(held), self.recipe.proposals)
        segments = found.segments.clip(0.0, end).astype(np.float32)
        kept = segments[:, 1] > segments[:, 0]
        found = Proposals(segments[kept], found.scores[kept], found.labels[kept])
        if self.raw:
            return Found(*found, end)
        left = suppress(
            *found, method=recipe.suppress, sigma=recipe.sigma, iou=recipe.iou, topk=recipe.topk, vote=recipe.vote or None
        )
        return Found(left.segments, left.scores, left.labels, end)


def _ranked(found: Proposals, most: int) -> Proposals:
    """The `most` best, best first; equal scores as they came."""
    order = np.argsort(-found.scores, kind="stable")[:most]
    return Proposals(found.segments[order], found.scores[order], found.labels[order])


def _ahead(each: Iterable[Iterator], most: int, depth: int) -> Generator:
    """The items of all iterators, one iterator after the other. Of `most` of them the next `depth` items are made ahead of
    their time, by a thread each."""
    rest, end = iter(each), object()
    waiting: deque[tuple[Iterator, ThreadPoolExecutor, deque[Future]]] = deque()

    def begin(items: Iterator) -> None:
        pool = ThreadPoolExecutor(1)
        waiting.append((items, pool, deque(pool.submit(next, items, end) for _ in range(depth))))

    try:
        for items in islice(rest, most):
            begin(items)
        while waiting:
            items, pool, jobs = waiting[0]
            while (item := jobs.popleft().result()) is not end:
                jobs.append(pool.submit(next, items, end))
                yield item
            pool.shutdown()
            waiting.popleft()
            for items in islice(rest, 1):
                begin(items)
    finally:
        for _, pool, _ in waiting:
            pool.shutdown(cancel_futures=True)
