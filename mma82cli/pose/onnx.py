"""Top-down pose networks: RTMPose and its kin (SimCC) and heatmap networks, which look at one person's box."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, repeat

import numpy as np

from mma82cli.pose import decode, geometry
from mma82cli.pose.engines import Engine, kind_of
from mma82cli.pose.estimator import Estimator
from mma82cli.pose.feed import Feed
from mma82cli.pose.model import Model
from mma82cli.records import DataError
from mma82cli.skeleton.layouts import load_layout

CHUNK = 16  # frames decoded together
LAYOUTS = {17: "coco17", 133: "coco133"}  # by the number of joints, where no side-car names one


class TopDownEstimator(Estimator):
    """A top-down network on an engine, which looks for joints in the box that it is given."""

    def __init__(self, model: Model, run: Engine, peak: str = "subpixel"):
        self.model = model = model.completed(kind_of(model, run), run.size)
        self.title = model.title + ("" if peak == "subpixel" else f"+{peak}")
        self.min_score, self.finds_person, self.peak = model.min_score, model.whole_frame, peak
        self._run, self._feed = run, Feed(model, CHUNK, run.batch)
        self._feed.crops[0] = 0
        count = self._look(1)[0].shape[1]
        self.layout = model.layout or LAYOUTS.get(count)
        if self.layout is None:
            raise DataError(f"{model.path}: finds {count} joints; name their 'layout' in a side-car")
        self.joints = len(load_layout(self.layout))
        if count != self.joints:
            raise DataError(f"{model.path}: finds {count} joints; expected {self.joints}, as {self.layout} has")

    def each(self, frames: Iterable[np.ndarray], boxes: Iterable | None = None) -> Iterator[np.ndarray]:
        """See `Estimator`."""
        for frame, box in zip(frames, repeat(None) if boxes is None else boxes, strict=False):
            yield self._joints(self._crop(0, frame, box)[None])[0]

    def infer(self, frames: Iterable[np.ndarray], boxes: Iterable | None = None) -> np.ndarray:
        """See `Estimator`. Frames may come from a generator: each is let go as soon as its crop is taken, and the joints
        of many are decoded together, which is quicker."""
        pairs = zip(frames, repeat(None) if boxes is None else boxes, strict=False)
        found = []
        while areas := [self._crop(i, frame, box) for i, (frame, box) in enumerate(islice(pairs, CHUNK))]:
            found.append(self._joints(np.stack(areas)))
        return np.concatenate(found) if found else np.zeros((0, self.joints, 3), np.float32)

    def _crop(self, place: int, frame: np.ndarray, box) -> np.ndarray:
        """Puts the crop of a frame at `place` among the crops; its region (4,)."""
        model = self.model
        if box is None:
            height, width = frame.shape[:2]
            area = geometry.region((0, 0, width, height), model.input, 1.0 if model.whole_frame else model.padding)
        else:
            area = geometry.region(box, model.input, model.padding)
        geometry.crop(frame, area, model.input, model.align, self._feed.crops[place])
        return area

    def _joints(self, areas: np.ndarray) -> np.ndarray:
        points, score = self._look(len(areas))
        where = geometry.to_frame(points, areas, self.model.input, self.model.align)
        return np.concatenate([where, score[..., None]], -1).astype(np.float32)

    def _look(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Joints in input pixels (N,V,2) and scores (N,V) of the first `count` crops."""
        step = self._run.batch
        runs = [self._run(self._feed(range(i, min(i + step, count)))) for i in range(0, count, step)]
        return self._points({n: np.concatenate(p) for n, p in zip(self._run.outputs, zip(*runs, strict=True), strict=True)})

    def _points(self, out: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Joints in input pixels (N,V,2) and scores (N,V)."""
        model, ranks = self.model, [o.ndim for o in out.values()]
        if model.decode == "simcc" and ranks[:2] == [3, 3]:
            x, y = self._axes(out)
            return decode.simcc(x, y, model.split_ratio, self.peak)
        if model.decode == "heatmap" and ranks[0] == 4:
            maps = next(iter(out.values()))
            points, score = decode.heatmaps(maps, self.peak, model.blur)
            return decode.heatmap_input(points, maps.shape[:1:-1], model.input, model.align), score
        shapes = ", ".join(f"{name} {list(o.shape)}" for name, o in out.items())
        raise DataError(f"{model.path}: outputs {shapes}; expected simcc_x and simcc_y (N,V,bins), or heatmaps (N,V,h,w)")

    def _axes(self, out: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        if "simcc_x" in out and "simcc_y" in out:
            x, y = out["simcc_x"], out["simcc_y"]
        else:
            x, y = list(out.values())[:2]
        expected = tuple(round(n * self.model.split_ratio) for n in self.model.input)
        if (x.shape[-1], y.shape[-1]) != expected:
            raise DataError(f"{self.model.path}: {x.shape[-1]} and {y.shape[-1]} bins; expected {expected[0]} and {expected[1]}")
        return x, y
