"""Networks that look at a whole frame and answer with everybody in it: RTMO (boxes and joints), YOLOX (boxes alone)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat

import numpy as np

from mma82cli.pose import geometry
from mma82cli.pose.engines import Engine, kind_of
from mma82cli.pose.estimator import Estimator
from mma82cli.pose.feed import Feed
from mma82cli.pose.model import Model
from mma82cli.pose.onnx import LAYOUTS
from mma82cli.pose.people import People, distinct, overlap
from mma82cli.records import DataError
from mma82cli.skeleton.layouts import load_layout

MIN_SCORE = 0.3  # of a person's box
SAME = 0.45  # two boxes that overlap more are one person's
GREY = (114, 114, 114)  # what surrounds the frame, as these networks were trained
STRIDES = (8, 16, 32)  # of YOLOX's grids


class _WholeFrame:
    """A network on an engine, fed with the whole frame, fitted into the upper left corner of its input."""

    def __init__(self, model: Model, run: Engine, kind: str):
        self._run = run
        if kind_of(model, self._run) != kind:
            raise DataError(f"{model.path}: not a network that finds {kind}; its outputs are {', '.join(self._run.outputs)}")
        self.model = model.completed(kind, self._run.size)
        self.title = self.model.title
        self._feed = Feed(self.model, 1)

    def _answers(self, frame: np.ndarray) -> tuple[list[np.ndarray], float]:
        """The network's outputs for a BGR frame (H,W,3), and input pixels a pixel of the frame."""
        height, width = frame.shape[:2]
        size = self.model.input
        scale = min(size[0] / width, size[1] / height)
        area = np.array([0.0, 0.0, size[0] / scale, size[1] / scale])
        geometry.crop(frame, area, size, out=self._feed.crops[0], border=GREY)
        return self._run(self._feed(range(1))), scale


class PersonDetector(_WholeFrame):
    """YOLOX, with suppression in its graph (boxes (1,N,5), classes (1,N)) or without ((1,A,5+classes))."""

    def __init__(self, model: Model, run: Engine):
        super().__init__(model, run, "boxes")

    def people(self, frame: np.ndarray) -> People:
        """The people in a BGR frame (H,W,3) uint8, best first."""
        out, scale = self._answers(frame)
        found = next(o for o in out if o.ndim == 3)[0]
        if found.shape[1] == 5:
            classes = next((o[0] for o in out if o.ndim == 2), np.zeros(len(found)))
            boxes, scores = found[:, :4], np.where(classes == 0, found[:, 4], 0.0)
        else:
            boxes, scores = self._decoded(found)
        good = scores >= MIN_SCORE
        return distinct(People(boxes[good].astype(float) / scale, scores[good].astype(float)), SAME)

    def _decoded(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (A,4) in input pixels and scores (A,) of the first class, the person, from YOLOX's grids (A,5+C)."""
        width, height = self.model.input
        cells = []
        for stride in STRIDES:
            y, x = np.mgrid[: height // stride, : width // stride]
            cells.append(np.stack([x, y, np.full_like(x, stride)], -1).reshape(-1, 3))
        grid = np.concatenate(cells).astype(float)
        if len(grid) != len(raw):
            raise DataError(f"{self.model.path}: {len(raw)} anchors; expected {len(grid)} for an input of {width}x{height}")
        centre, size = (raw[:, :2] + grid[:, :2]) * grid[:, 2:], np.exp(raw[:, 2:4]) * grid[:, 2:]
        return np.concatenate([centre - size / 2, centre + size / 2], 1), raw[:, 4] * raw[:, 5]


class OneStageEstimator(_WholeFrame, Estimator):
    """RTMO: boxes (1,N,5) and joints (1,N,V,3) of everybody in the frame."""

    sees_all = True

    def __init__(self, model: Model, run: Engine):
        super().__init__(model, run, "persons")
        count = self._answers(np.zeros((64, 64, 3), np.uint8))[0][1].shape[2]
        self.layout = model.layout or LAYOUTS.get(count)
        if self.layout is None or count != len(load_layout(self.layout)):
            raise DataError(f"{model.path}: finds {count} joints; expected 17 or 133, or a side-car that names their 'layout'")
        self.joints = count

    def people(self, frame: np.ndarray) -> People:
        """See `Estimator`."""
        (boxes, joints), scale = self._answers(frame)
        boxes, joints = boxes[0].astype(float), joints[0].astype(float)
        good = boxes[:, 4] >= MIN_SCORE
        boxes, joints = boxes[good], joints[good]
        joints[..., :2] /= scale
        return distinct(People(boxes[:, :4] / scale, boxes[:, 4], joints), SAME)

    def each(self, frames: Iterable[np.ndarray], boxes: Iterable | None = None) -> Iterator[np.ndarray]:
        """See `Estimator`: whoever fills the box best, without one the most certain person."""
        for frame, box in zip(frames, repeat(None) if boxes is None else boxes, strict=False):
            yield self._one(frame, box)

    def _one(self, frame: np.ndarray, box) -> np.ndarray:
        people = self.people(frame)
        shared = np.ones(len(people)) if box is None else overlap(np.asarray(box, float), people.boxes)
        if not len(people) or shared.max() <= 0:
            return np.full((self.joints, 3), np.nan)
        return people.joints[shared.argmax()]
