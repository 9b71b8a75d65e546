"""The paper's Fig. 4: a clip with the skeleton over it, the joints that move in green and where they go as blue arrows.

A strip of frames cut to the person (SVG, PNG), and the whole clip as a video (MP4), so that an extraction, a label or a
prediction can be judged at a glance.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np

from mma82cli.plots import chosen, subtitles
from mma82cli.plots.captions import CAPTION, TALLEST, captioned
from mma82cli.plots.stills import film_of
from mma82cli.plots.style import save, style
from mma82cli.records import DataError, optional_span
from mma82cli.skeleton.keypoints import from_record
from mma82cli.skeleton.layouts import Layout, load_layout
from mma82cli.taxonomy import load_taxonomy
from mma82cli.video import Video
from mma82cli.video.writer import LETTERS, RATE, write_frames

HEEDS = ("--id", "--root", "--taxonomy", "--layout")
MOST = 4  # clips that are drawn where none is named
SHOWN = 6  # frames of a strip
WIDEST = 14  # inches of a strip
HALF = 0.25  # seconds before and after a frame in which movement counts
STIRS = 0.008  # heights of the person: a joint that covers less stands still
NOISE = 5.0  # how many times its trembling it must cover
BONE, STILL, MOVES, TREND = (235, 235, 235), (60, 170, 255), (80, 200, 40), (230, 110, 20)  # BGR


def draw(records: Iterable[dict], folder: str, options) -> list[str]:
    """Writes `overlay-ID.svg`, `.png` and `.mp4` for the records of `options.ids`, or for the first few. Frames come from
    the videos under `options.root`; without its video a clip is drawn on grey. Of untrimmed videos (`predictions`, and no
    joints) there is the video alone. Raises DataError."""
    paths = []
    for name, record in chosen(records, options.ids, MOST):
        if "keypoints" in record:
            paths += _Clip(record, name, options).write(folder)
        elif "predictions" in record or "segments" in record:
            paths.append(subtitles.write(record, options.root, folder))
        else:
            writers = "`mma82 extract-skeleton` or `mma82 infer --keep-keypoints`"
            raise DataError(f"{name} has no 'keypoints'; expected what {writers} writes")
    return paths


class _Clip:
    """One record: its joints (M,T,V,3), its frames, what moves in it."""

    def __init__(self, record: dict, name: str, options):
        self.name, self._record, self._options = name, record, options
        self.joints = from_record(record)
        self._layout = load_layout(options.layout or record.get("layout") or "coco17")
        if len(self._layout) != self.joints.shape[2]:
            expected = f"{len(self._layout)}, as {self._layout.name} has (--layout FILE)"
            raise DataError(f"{name}: {self.joints.shape[2]} joints; expected {expected}")
        self._fps = float(record.get("fps") or RATE)
        path = film_of(record, options.root)
        self._video = Video(path) if path else None
        self._size = self._frame_size()
        self._motions = [_motion(person, self._fps) for person in self.joints]

    def _frame_size(self) -> tuple[int, int]:
        if self._video:
            return self._video.width, self._video.height
        seen = self.joints[self.joints[..., 2] > 0][:, :2]
        furthest = seen.max(0) if len(seen) else (1, 1)
        width, height = (int(self._record.get(side) or furthest[i] * 1.1 + 1) for i, side in enumerate(("width", "height")))
        return width, height

    def _frames(self) -> Iterator[np.ndarray]:
        if self._video is None:
            yield from repeat(np.full((self._size[1], self._size[0], 3), 96, np.uint8), self.joints.shape[1])
            return
        for _, frame in self._video.frames(*optional_span(self._record), reuse=True):
            yield frame

    def write(self, folder: str) -> list[str]:
        """The paths of the strip and the video."""
        base = "overlay-" + re.sub(r"[^\w.-]+", "_", self.name)
        scale = min(1.0, TALLEST / self._size[1])
        size = tuple(2 * round(side * scale / 2) for side in self._size)
        wanted, kept = set(self._strip().tolist()), []
        words = _words(self._record, self._options.taxonomy)

        def painted() -> Iterator[np.ndarray]:
            for t, frame in zip(range(self.joints.shape[1]), self._frames(), strict=False):
                picture = self._painted(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), t, size[1] / self._size[1])
                if t in wanted:
                    kept.append(picture.copy())
                yield captioned(picture, words)

        path = Path(folder) / f"{base}.mp4"
        write_frames(path, painted(), self._fps, (size[0], size[1] + CAPTION * len(words)), LETTERS[".mp4"])
        return [*self._write_strip(kept, words, folder, base, size[1] / self._size[1]), str(path)]

    def _strip(self) -> np.ndarray:
        """Numbers of the frames to show: spread over those where somebody is."""
        seen = np.flatnonzero((self.joints[..., 2] > 0).any((0, 2)))
        seen = seen if len(seen) else np.arange(self.joints.shape[1])
        return seen[np.unique(np.linspace(0, len(seen) - 1, SHOWN).round().astype(int))]

    def _write_strip(self, pictures, words, folder: str, base: str, scale: float) -> list[str]:
        from matplotlib.figure import Figure

        left, top, right, bottom = self._window(pictures[0].shape, scale)
        pictures = [p[top:bottom, left:right, ::-1] for p in pictures]
        aspect = (right - left) / max(1, bottom - top)
        with style():
            wide = min(2.6 * aspect, WIDEST / len(pictures))  # inches
            figure = Figure(figsize=(wide * len(pictures), wide / aspect + 0.5), layout="constrained")
            for axes, picture, t in zip(np.atleast_1d(figure.subplots(1, len(pictures))), pictures, self._strip(), strict=True):
                axes.imshow(picture)
                axes.set_axis_off()
                axes.set_title(f"{t / self._fps:.2f} s", fontsize=7)
            figure.suptitle("   ".join(words) or self.name, fontsize=9)
            return save(figure, folder, base)

    def _window(self, shape, scale: float) -> tuple[int, int, int, int]:
        """The part of the picture in which people are, with room, no narrower than half as wide as it is high."""
        seen = self.joints[self.joints[..., 2] > 0][:, :2] * scale
        if not len(seen):
            return 0, 0, shape[1], shape[0]
        low, high = np.percentile(seen, 1, axis=0), np.percentile(seen, 99, axis=0)
        room = 0.2 * (high - low).max()
        middle, half = (low + high) / 2, (high - low) / 2 + room
        half = np.maximum(half, (half[1] / 2, half[0] / 2))
        low, high = np.clip(middle - half, 0, (shape[1], shape[0])), np.clip(middle + half, 0, (shape[1], shape[0]))
        return int(low[0]), int(low[1]), int(max(high[0], low[0] + 2)), int(max(high[1], low[1] + 2))

    def _painted(self, picture: np.ndarray, t: int, scale: float) -> np.ndarray:
        for joints, (moves, trend) in zip(self.joints, self._motions, strict=True):
            if (joints[t, :, 2] > 0).any() or joints[t].any():
                paint(picture, joints[t] * (scale, scale, 1), moves[t], trend[t] * scale, self._layout)
        return picture


def _motion(joints: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Which joints of (T,V,3) move around each frame (T,V), and by how much from before it to after it (T,V,2) in pixels."""
    seen = (joints != 0).any((1, 2))
    moves, trend = np.zeros(joints.shape[:2], bool), np.zeros((*joints.shape[:2], 2))
    if seen.sum() < 3:
        return moves, trend
    points = np.where(seen[:, None, None], joints[..., :2].astype(float), np.nan)
    reach = max(1, round(HALF * fps))
    height = np.nanmedian((np.nanmax(points[seen], 1) - np.nanmin(points[seen], 1)).max(1))
    jerk = points[2:] - 2 * points[1:-1] + points[:-2]
    noise = np.sqrt(np.nanmedian((jerk**2).sum(-1), axis=0) / 6) if np.isfinite(jerk).any() else np.zeros(points.shape[1])
    for t in np.flatnonzero(seen):
        around = points[max(0, t - reach) : t + reach + 1]
        around = around[np.isfinite(around).all((1, 2))]
        covered = np.linalg.norm(around.max(0) - around.min(0), axis=-1)
        moves[t] = covered > np.maximum(STIRS * height, NOISE * noise)
        third = max(1, len(around) // 3)
        trend[t] = around[-third:].mean(0) - around[:third].mean(0)
    return moves, trend


def paint(picture: np.ndarray, joints: np.ndarray, moves: np.ndarray, trend: np.ndarray, layout: Layout) -> None:
    """Draws one person's joints (V,3) into a BGR picture: bones, dots (hollow where the score is 0), arrows (V,2)."""
    unit = max(1, round(picture.shape[0] / 300))
    radius = 2 * unit + 1 if len(joints) < 40 else unit
    longest = picture.shape[0] / 6
    places = list(map(_place, joints[:, :2]))
    fine = cv2.LINE_AA
    for colour, width in (((40, 40, 40), 2 * unit + 1), (BONE, unit)):
        for a, b in layout.limbs:
            cv2.line(picture, places[a], places[b], colour, width, fine)
    for v, place in enumerate(places):
        filled = -1 if joints[v, 2] > 0 else unit
        cv2.circle(picture, place, radius + 1, (40, 40, 40), filled, fine)
        cv2.circle(picture, place, radius, MOVES if moves[v] else STILL, filled, fine)
    for v in np.flatnonzero(moves).tolist():
        length = float(np.linalg.norm(trend[v]))
        if length > radius / 2:
            shown = min(max(2 * length, 5 * unit), longest)
            tip = _place(joints[v, :2] + trend[v] * (shown / length))
            cv2.arrowedLine(picture, places[v], tip, TREND, unit + 1, fine, tipLength=min(0.5, 5 * unit / shown))


def _place(point: np.ndarray) -> tuple[int, int]:
    """A pixel, which may lie far outside of the picture, but not where OpenCV can't count to."""
    x, y = np.clip(np.round(point), -(1 << 15), 1 << 15)
    return int(x), int(y)


# -- words ---------------------------------------------------------------------------------------------------------


def _words(record: dict, taxonomy: str | None) -> list[str]:
    """What is known of a clip: its label, whether nobody is there, and its best three scores."""
    words = [str(record["label"])] if record.get("label") is not None else []
    best = record.get("topk") or []
    if not best and record.get("scores"):
        names = load_taxonomy(taxonomy or record.get("taxonomy", "mma82")).names
        scores = np.asarray(record["scores"], float)
        if len(scores) == len(names):
            best = [(names[i], scores[i]) for i in np.argsort(-scores, kind="stable")[:3]]
    if not any(record["keypoints"]):
        words.append("no person found")
    if best:
        words.append("predicted: " + ", ".join(f"{label} {score:.2f}" for label, score in best[:3]))
    return words
