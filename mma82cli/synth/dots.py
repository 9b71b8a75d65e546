"""Makes `share/mma82/models/dots.onnx`, the network that finds the rendered people's joints: `python -m mma82cli.synth.dots`.

Nothing is trained; every weight is written down from the markers' colours. The network looks at the whole frame:

    cells   2 x 2 pixels averaged                                 (N, 3, 144, 192)
    maps    relu(1 - |colour - marker|^2 / reach^2)               (N, 17, 144, 192), linear in [colour, colour^2]
    mx, my  means over the rows and over the columns              (N, 17, 192), (N, 17, 144)
    simcc   both smoothed by a Gaussian and brought to 2 bins a pixel, times T / (T^2 + 2) with T the map's mass,
            so that the peak is near 1 for a marker in full view and near 0 where there is none

The package `onnx` is needed to run this file, and for nothing else.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from mma82cli.synth.markers import JOINTS, RADIUS, REACH, colours

WIDTH, HEIGHT = 384, 288
CELL = 2  # pixels
COLUMNS, ROWS = WIDTH // CELL, HEIGHT // CELL
SPLIT = 2  # bins a pixel
SIGMA = 1.2 * CELL  # pixels; smooths the marginals
FLOOR = 2.0  # in T / (T^2 + FLOOR), cells^2


def smoothing_kernel() -> np.ndarray:
    """Taps of the transposed convolution that smooths a marginal and brings it from cells to bins.

    Cell k is centred on pixel 2k + 0.5, that is on bin 4k + 1: with 2p + 4 taps, stride 4 and padding p,
    tap p + 1 falls there. The scale makes the peak of a whole marker's marginal equal its mass.
    """
    step = CELL * SPLIT
    half = int(np.ceil(3.5 * SIGMA * SPLIT))
    offsets = np.arange(2 * half + step) - (half + 1)
    spread = np.hypot(SIGMA, RADIUS / 2)  # of the smoothed marker: a disc's marginal has deviation r / 2
    return np.exp(-((offsets / SPLIT) ** 2) / (2 * SIGMA**2)) * spread / SIGMA


def weights() -> dict[str, np.ndarray]:
    """The tensors of the network; colours on a scale of 0..1, as its input is.

    Maps are raised by COLUMNS, so that the mean over a map is T / ROWS; the last kernels take back what means left out.
    """
    marker = colours() / 255.0
    reach2 = (REACH / 255.0) ** 2
    near = np.concatenate([2 * marker / reach2, np.full((JOINTS, 3), -1 / reach2)], axis=1)  # (17, 6) on [q, q^2]
    taps = np.tile(smoothing_kernel(), (JOINTS, 1))
    bins = {"bins_x": [-1, JOINTS, WIDTH * SPLIT], "bins_y": [-1, JOINTS, HEIGHT * SPLIT]}
    tensors = {
        "near": near[:, :, None, None] * COLUMNS,
        "near_bias": (1 - (marker**2).sum(1) / reach2) * COLUMNS,
        "taps_x": taps[:, None, None, :] / COLUMNS,
        "taps_y": taps[:, None, :, None] / ROWS,
        "floor": np.array([FLOOR / ROWS**2]),
    }
    tensors = {name: value.astype(np.float32) for name, value in tensors.items()}
    return tensors | {name: np.array(value, dtype=np.int64) for name, value in bins.items()}


def network():
    """The network as an `onnx.ModelProto` (opset 11: all that OpenCV 4.8 to 5 and onnxruntime read alike)."""
    from onnx import TensorProto, checker, helper, numpy_helper

    node, step = helper.make_node, CELL * SPLIT
    pad = (smoothing_kernel().size - step) // 2
    nodes = [
        node("AveragePool", ["input"], ["cells"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        node("Mul", ["cells", "cells"], ["squares"]),
        node("Concat", ["cells", "squares"], ["lifted"], axis=1),
        node("Conv", ["lifted", "near", "near_bias"], ["nearness"], kernel_shape=[1, 1]),
        node("Relu", ["nearness"], ["maps"]),
        node("AveragePool", ["maps"], ["mx"], kernel_shape=[ROWS, 1]),
        node("AveragePool", ["maps"], ["my"], kernel_shape=[1, COLUMNS]),
        node("GlobalAveragePool", ["mx"], ["mass"]),
        node("Mul", ["mass", "mass"], ["mass2"]),
        node("Add", ["mass2", "floor"], ["mass2_floor"]),
        node("Div", ["mass", "mass2_floor"], ["gain"]),
        node("Mul", ["mx", "gain"], ["gx"]),
        node("Mul", ["my", "gain"], ["gy"]),
        node("ConvTranspose", ["gx", "taps_x"], ["wide"], group=JOINTS, kernel_shape=[1, 2 * pad + step],
             strides=[1, step], pads=[0, pad, 0, pad]),
        node("ConvTranspose", ["gy", "taps_y"], ["tall"], group=JOINTS, kernel_shape=[2 * pad + step, 1],
             strides=[step, 1], pads=[pad, 0, pad, 0]),
        node("Reshape", ["wide", "bins_x"], ["simcc_x"]),
        node("Reshape", ["tall", "bins_y"], ["simcc_y"]),
    ]  # fmt: skip

    def value(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])

    outputs = [value("simcc_x", JOINTS, WIDTH * SPLIT), value("simcc_y", JOINTS, HEIGHT * SPLIT)]
    constants = [numpy_helper.from_array(tensor, name) for name, tensor in weights().items()]
    graph = helper.make_graph(nodes, "dots", [value("input", 3, HEIGHT, WIDTH)], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6, producer_name="mma82")
    checker.check_model(model, full_check=True)
    return model


SIDE_CAR = f"""\
# The network that finds the joints of the embedded data set's rendered people (made by python -m mma82cli.synth.dots).
name = "dots"
layout = "coco17"
input = [{WIDTH}, {HEIGHT}]     # width, height
channel_order = "rgb"
mean = [0.0, 0.0, 0.0]
std = [255.0, 255.0, 255.0]
decode = "simcc"
split_ratio = {float(SPLIT)}        # bins a pixel of the input
align = "classic"
whole_frame = true       # needs no person's box: the frame is fitted into the input, the rest is black
padding = 1.0            # the frame itself is the box, nothing is added around it
sha256 = "{{sha256}}"
"""


def write(folder: Path) -> None:
    """Writes dots.onnx and its side-car dots.toml into `folder`."""
    data = network().SerializeToString(deterministic=True)
    (folder / "dots.onnx").write_bytes(data)
    (folder / "dots.toml").write_text(SIDE_CAR.format(sha256=hashlib.sha256(data).hexdigest()), encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).resolve().parents[2] / "share" / "mma82" / "models")
