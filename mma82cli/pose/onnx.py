"""Top-down pose networks in ONNX: RTMPose and its kin (SimCC) and heatmap networks, on onnxruntime or OpenCV."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, repeat

import cv2
import numpy as np

from mma82cli.pose import decode, geometry
from mma82cli.pose.model import Model
from mma82cli.records import DataError, WrongUsage
from mma82cli.skeleton.layouts import load_layout

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
BATCH = 16  # inputs a run on a GPU; on a CPU one at a time is quickest (a batch of 8 took 1.7 times as long a frame)
CHUNK = 16  # frames decoded together


class OrtEngine:
    """The network on onnxruntime, one thread. `outputs` are their names, `batch` how many inputs a run may take."""

    def __init__(self, path: str, device: str = "cpu"):
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        wanted = PROVIDERS[device]
        if wanted not in onnxruntime.get_available_providers():
            raise WrongUsage(f"onnxruntime has no {wanted}; install onnxruntime-gpu, or leave --device {device} out")
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=[wanted])
        except Exception as error:  # its exceptions share no base but Exception
            raise DataError(f"{path}: onnxruntime can't load it ({str(error).strip().splitlines()[-1][:200]})") from None
        if self._session.get_providers()[0] != wanted:  # it falls back to the CPU without a word
            raise WrongUsage(f"onnxruntime could not start {wanted}; check its libraries, or leave --device {device} out")
        first = self._session.get_inputs()[0]
        self._name = first.name
        self.input = tuple(first.shape[:1:-1]) if len(first.shape) == 4 else None  # (width, height), ints where fixed
        self.batch = 1 if device == "cpu" or isinstance(first.shape[0], int) else BATCH
        self.outputs = [o.name for o in self._session.get_outputs()]

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        return self._session.run(self.outputs, {self._name: batch})


class OpenCvEngine:
    """The network on OpenCV's dnn module, one input a run, for installations without onnxruntime."""

    batch = 1
    input = None

    def __init__(self, path: str, size: tuple[int, int]):
        cv2.setNumThreads(1)
        probe = np.zeros((1, 3, size[1], size[0]), np.float32)
        try:  # the default engine alone: OpenCV 5's classic one runs some graphs that this one refuses, and runs them wrong
            self._net = cv2.dnn.readNetFromONNX(path)
            self.outputs = list(self._net.getUnconnectedOutLayersNames())
            self(probe)
        except cv2.error as error:
            fault = str(error).strip().splitlines()[0][:200]
            raise DataError(f"{path}: OpenCV {cv2.__version__} can't run it ({fault}); install onnxruntime") from None

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        self._net.setInput(batch)
        return list(self._net.forward(self.outputs))


def open_engine(model: Model, engine: str = "auto", device: str = "cpu"):
    """The model on onnxruntime where that is installed (`auto`), else on OpenCV. Raises DataError or WrongUsage."""
    if engine == "auto":
        from importlib.util import find_spec

        engine = "onnxruntime" if find_spec("onnxruntime") else "opencv"
    if engine == "onnxruntime":
        return OrtEngine(model.path, device)
    if device != "cpu":
        raise WrongUsage(f"--device {device} needs onnxruntime-gpu, which is not installed")
    return OpenCvEngine(model.path, model.input)


class OnnxEstimator:
    """A network with its side-car. `title` names it, `min_score` is what `person.found` asks of a frame."""

    finds_person = False  # joints are sought in the box that it is given

    def __init__(self, model: Model, engine: str = "auto", device: str = "cpu", peak: str = "subpixel"):
        self.model, self.title, self.min_score, self.peak = model, model.title, model.min_score, peak
        self._run = open_engine(model, engine, device)
        self.joints = len(load_layout(model.layout))
        fixed = self._run.input
        if fixed and all(isinstance(n, int) for n in fixed) and fixed != model.input:
            if model.described:
                raise DataError(f"{model.path}: its input is {list(fixed)}; expected {list(model.input)} as the side-car says")
            self.size = fixed
        else:
            self.size = model.input
        width, height = self.size
        self._crops = np.empty((CHUNK, height, width, 3), np.uint8)
        self._input = np.empty((self._run.batch, 3, height, width), np.float32)
        order = model.channel_order  # the channels of a BGR frame, each normalised by a table of its 256 values
        self._tables = [
            (order.index(c), ((np.arange(256) - model.mean[order.index(c)]) / model.std[order.index(c)]).astype(np.float32))
            for c in "bgr"
        ]

    def infer(self, frames: Iterable[np.ndarray], boxes: Iterable | None = None) -> np.ndarray:
        """Joints (T,V,3) of T BGR frames (H,W,3) uint8, in pixels of the frame with their scores.

        `boxes` yields a person's (x1,y1,x2,y2) or None a frame; None, or no boxes at all, means the whole frame.
        Frames may come from a generator: each is let go as soon as its crop is taken.
        """
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
            area = geometry.region((0, 0, width, height), self.size, 1.0 if model.whole_frame else model.padding)
        else:
            area = geometry.region(box, self.size, model.padding)
        geometry.crop(frame, area, self.size, model.align, self._crops[place])
        return area

    def _normalised(self, places: range) -> np.ndarray:
        """The crops at `places` as the network takes them: (N,3,h,w) float32, valid until the next call."""
        for row, place in enumerate(places):
            for plane, (channel, table) in zip(cv2.split(self._crops[place]), self._tables, strict=True):
                cv2.LUT(plane, table, dst=self._input[row, channel])
        return self._input[: len(places)]

    def _joints(self, areas: np.ndarray) -> np.ndarray:
        count, step = len(areas), self._run.batch
        runs = [self._run(self._normalised(range(i, min(i + step, count)))) for i in range(0, count, step)]
        out = {name: np.concatenate(parts) for name, parts in zip(self._run.outputs, zip(*runs, strict=True), strict=True)}
        points, score = self._points(out)
        if points.shape[1] != self.joints:
            expected = f"{self.joints}, as {self.model.layout} has"
            raise DataError(f"{self.model.path}: finds {points.shape[1]} joints; expected {expected}")
        where = geometry.to_frame(points, areas, self.size, self.model.align)
        return np.concatenate([where, score[..., None]], -1).astype(np.float32)

    def _points(self, out: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Joints in input pixels (N,V,2) and scores (N,V), from outputs told apart by their names and ranks."""
        ranks = [o.ndim for o in out.values()]
        kind = self.model.decode or {(3, 3): "simcc", (4,): "heatmap"}.get(tuple(ranks[:2]), "")
        if kind == "simcc" and ranks[:2] == [3, 3]:
            x, y = self._axes(out)
            return decode.simcc(x, y, self.model.split_ratio, self.peak)
        if kind == "heatmap" and ranks[0] == 4:
            maps = next(iter(out.values()))
            points, score = decode.heatmaps(maps, self.peak, self.model.blur)
            return decode.heatmap_input(points, maps.shape[:1:-1], self.size, self.model.align), score
        shapes = ", ".join(f"{name} {list(o.shape)}" for name, o in out.items())
        raise DataError(f"{self.model.path}: outputs {shapes}; expected simcc_x and simcc_y (N,V,bins), or heatmaps (N,V,h,w)")

    def _axes(self, out: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        if "simcc_x" in out and "simcc_y" in out:
            x, y = out["simcc_x"], out["simcc_y"]
        else:
            x, y = list(out.values())[:2]
        expected = tuple(round(n * self.model.split_ratio) for n in self.size)
        if (x.shape[-1], y.shape[-1]) != expected:
            raise DataError(f"{self.model.path}: {x.shape[-1]} and {y.shape[-1]} bins; expected {expected[0]} and {expected[1]}")
        return x, y
