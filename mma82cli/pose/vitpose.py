"""ViTPose (Xu et al. 2022) as `transformers` has it: the most accurate of the top-down networks, on torch."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from mma82cli.pose.model import Model
from mma82cli.pose.onnx import TopDownEstimator
from mma82cli.pose.task import Settings
from mma82cli.records import DataError, WrongUsage

NEEDED = "--backend vitpose needs the extra: pip install 'mma82[vitpose]' (transformers)"
BLUR = 3  # a Gaussian of 0.8 cells, as transformers decodes
BATCH = 64  # crops a run on a GPU


class _TorchEngine:
    """A network of transformers with the face of an ONNX engine: (N,3,h,w) float32 -> [heatmaps (N,V,h/4,w/4)]."""

    outputs, ranks = ["heatmaps"], [4]

    def __init__(self, network, device: str, batch: int):
        import torch

        self._torch, self._network, self._device, self.batch = torch, network, device, batch
        height, width = network.config.backbone_config.image_size
        self.size = (int(width), int(height))

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        with self._torch.inference_mode():
            return [self._network(self._torch.from_numpy(batch).to(self._device)).heatmaps.float().cpu().numpy()]


class VitPoseEstimator(TopDownEstimator):
    """`source` is a folder with config.json and model.safetensors, or a name on the hub of transformers, which fetches it."""

    def __init__(self, source: str, device: str = "cpu", peak: str = "subpixel"):
        try:
            import torch
            from transformers import VitPoseForPoseEstimation
        except ImportError:
            raise WrongUsage(NEEDED) from None
        if device == "cuda" and not torch.cuda.is_available():
            raise WrongUsage("torch finds no GPU; leave --device cuda out")
        torch.set_num_threads(1)
        try:
            network = VitPoseForPoseEstimation.from_pretrained(source).eval().to(device)
        except (OSError, ValueError) as error:
            fault = str(error).strip().splitlines()[0][:200]
            raise DataError(f"--model {source}: transformers can't load it ({fault})") from None
        name = os.path.basename(source.rstrip("/"))
        model = Model(source, name, _digest(source, network), True, align="udp", blur=BLUR, min_score=0.2)
        super().__init__(model, _TorchEngine(network, device, BATCH if device == "cuda" else 1), peak)


def _digest(source: str, network) -> str:
    """The weights' sha256: of their file where there is one, else of the tensors by name."""
    file = Path(source) / "model.safetensors"
    if file.is_file():
        return hashlib.sha256(file.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def build(settings: Settings) -> VitPoseEstimator:
    """See `pose.Backend`."""
    assert isinstance(settings.model, str)
    return VitPoseEstimator(settings.model, settings.device, settings.peak)
