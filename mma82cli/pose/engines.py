"""What runs an ONNX network: onnxruntime, or OpenCV where that is not installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np

from mma82cli.pose.model import FED, Model
from mma82cli.records import DataError, WrongUsage

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
BATCH = 16  # inputs a run on a GPU; on a CPU one at a time is quickest (a batch of 8 took 1.7 times as long a frame)
_BY_RANKS = {(3, 3): "simcc", (4,): "heatmap", (3, 4): "persons", (3, 2): "boxes", (3,): "boxes"}


class Engine(Protocol):
    """A network that runs.

    outputs, ranks  the outputs' names, and how many axes each has
    size            (width, height) of the input where that is fixed, else None
    batch           how many inputs a run may take
    """

    outputs: list[str]
    ranks: list[int]
    size: tuple[int, int] | None
    batch: int

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        """Inputs (N,3,h,w) float32 -> the outputs, N first in each."""
        ...


class OrtEngine:
    """The network on onnxruntime, one thread. See `Engine`."""

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
        fixed = len(first.shape) == 4 and all(isinstance(n, int) for n in first.shape[2:])
        self.size = tuple(first.shape[:1:-1]) if fixed else None
        self.batch = 1 if device == "cpu" or isinstance(first.shape[0], int) else BATCH
        self.outputs = [o.name for o in self._session.get_outputs()]
        self.ranks = [len(o.shape) for o in self._session.get_outputs()]

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        return self._session.run(self.outputs, {self._name: batch})


class OpenCvEngine:
    """The network on OpenCV's dnn module, one input a run, for installations without onnxruntime. See `Engine`."""

    batch = 1
    size: tuple[int, int] | None = None

    def __init__(self, path: str, size: Sequence[int]):
        cv2.setNumThreads(1)
        probe = np.zeros((1, 3, size[1], size[0]), np.float32)
        try:  # the default engine alone: OpenCV 5's classic one runs some graphs that this one refuses, and runs them wrong
            self._net = cv2.dnn.readNetFromONNX(path)
            self.outputs = list(self._net.getUnconnectedOutLayersNames())
            self.ranks = [out.ndim for out in self(probe)]
        except cv2.error as error:
            fault = str(error).strip().splitlines()[0][:200]
            raise DataError(f"{path}: OpenCV {cv2.__version__} can't run it ({fault}); install onnxruntime") from None

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        self._net.setInput(batch)
        return list(self._net.forward(self.outputs))


def open_engine(model: Model, engine: str = "auto", device: str = "cpu") -> Engine:
    """The model on onnxruntime where that is installed (`auto`), else on OpenCV. Raises DataError or WrongUsage."""
    if engine == "auto":
        from importlib.util import find_spec

        engine = "onnxruntime" if find_spec("onnxruntime") else "opencv"
    if engine == "onnxruntime":
        return OrtEngine(model.path, device)
    if device != "cpu":
        raise WrongUsage(f"--device {device} needs onnxruntime-gpu, which is not installed")
    return OpenCvEngine(model.path, model.input or FED[model.decode or "simcc"]["input"])


def kind_of(model: Model, engine: Engine) -> str:
    """What the network answers with, one of `model.KINDS`: as its side-car says, else told by its outputs.

    Raises DataError where the outputs are none that are known.
    """
    found = _BY_RANKS.get(tuple(engine.ranks[:2]))
    if model.decode or found:
        return model.decode or found
    shapes = ", ".join(f"{name} of {rank} axes" for name, rank in zip(engine.outputs, engine.ranks, strict=True))
    expected = "simcc_x and simcc_y (N,V,bins), heatmaps (N,V,h,w), or boxes (1,N,5) with keypoints (1,N,V,3)"
    raise DataError(f"{model.path}: outputs {shapes}; expected {expected}")
