"""AdaTAD (Liu et al. 2024): VideoMAE with adapters reads a window of frames, ActionFormer's head finds the actions in it.

Names of weights are OpenTAD's but for the prefixes of the backbone. A moment is a frame of the window.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from mma82cli.devices import upload
from mma82cli.models import actionformer, videomae
from mma82cli.models.actionformer import HeadDims
from mma82cli.models.videomae import VideoMAE
from mma82cli.models.weights import some
from mma82cli.records import DataError


@dataclass(frozen=True)
class Dims:
    """The sizes of an AdaTAD."""

    backbone: videomae.Dims = field(default_factory=lambda: videomae.Dims(adapter=192))
    head: HeadDims = field(default_factory=HeadDims)


class AdaTAD(nn.Module):
    """model(frames (B, 3, T, H, W), mask (B, T)) -> [(class logits (B, C, t), offsets (B, 2, t), points (t, 4))], a level each.

    T is a multiple of 16, H and W are. Bytes are normalised here, floats come normalised. True in `mask` are the frames
    that exist, the first of a window. Offsets are distances to start and end in strides (points[:, 3]), `points[:, 0]` is
    in frames of the window. t is T/2^level, T rounded up to what the pyramid can halve.
    """

    def __init__(self, dims: Dims | None = None):
        super().__init__()
        self.dims = dims = Dims() if dims is None else dims
        self.backbone = VideoMAE(dims.backbone)
        self.projection = actionformer.Projection(dims.head)
        self.neck = actionformer.Neck(dims.head)
        self.rpn_head = actionformer.Head(dims.head)
        actionformer.initialise(self.projection, self.neck, self.rpn_head)

    @property
    def num_classes(self) -> int:
        """Labels that it scores."""
        return self.dims.head.num_classes

    def forward(self, frames: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """See the class. Clips that can't matter for what exists are not run; the result is the same."""
        size = self.dims.backbone.frames
        batch, clips = len(frames), frames.shape[2] // size
        packed = frames.unflatten(2, (clips, size)).transpose(1, 2).flatten(0, 1)  # (B*clips, 3, 16, H, W)
        lengths = mask.sum(1).tolist()
        return self.detect(self.features(packed, [clips] * batch, lengths), mask)

    def features(self, clips: Tensor, windows: list[int], lengths: list[int]) -> Tensor:
        """Packed clips (N, 3, 16, H, W), `windows` of them in each window, of which `lengths` frames exist -> features
        (B, dim, T) of the frames, T those of the longest window."""
        rate, slices = self.dims.backbone.tubelet, self.dims.backbone.slices
        # a frame's features mix two tubelets, and the first convolution sees one frame more
        last = [math.floor((length + 0.5) / rate + 0.5) for length in lengths]
        needed = [min(n, tubelet // slices + 1) for n, tubelet in zip(windows, last, strict=True)]
        x = self.backbone.features_of(clips, windows, needed)  # (clips needed, slices, dim)
        longest = max(windows) * slices
        return self._by_frame(x, *self._placed(windows, needed, longest, x.device))

    def detect(self, features: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Features (B, dim, T) and mask (B, T' >= T) -> a level's logits, offsets and points each.

        The head is always given the whole window, T' frames: behind features there are zeros."""
        mask = F.pad(mask, (0, -mask.shape[1] % self.dims.head.multiple))
        x = F.pad(features, (0, mask.shape[1] - features.shape[2]))
        levels = self.head(x, mask[:, None].to(x.dtype))
        return [
            (logits, offsets, actionformer.points(i, logits.shape[2], len(levels), logits.device))
            for i, (logits, offsets) in enumerate(levels)
        ]

    def head(self, x: Tensor, mask: Tensor, keeps: Tensor | None = None) -> list[tuple[Tensor, Tensor]]:
        """Features (B, dim, T) and mask (B, 1, T) of whole windows -> a level's logits and offsets each."""
        return self.rpn_head(self.neck(self.projection(x, mask, keeps)))

    def compiled_parts(self) -> list[nn.Module]:
        """What is compiled for a long training on a GPU: the blocks, which are one code; the head would take minutes."""
        return list(self.backbone.blocks)

    def lesson(self, clips: Tensor, windows: list[int], mask: Tensor, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """What `learn` reads of packed clips (N, 3, 16, H, W), `windows` of them in each window of which the frames `mask`
        (B, T) exist: only tensors, whose shapes depend on how many clips there are. `rng`: of stochastic depth."""
        sizes, device = self.dims.backbone, clips.device
        mask = F.pad(mask, (0, -mask.shape[1] % self.dims.head.multiple))
        placed = self._placed(windows, windows, mask.shape[1] // sizes.tubelet, device)
        keeps = *self.backbone.draw(len(clips), rng), *self.projection.draw(len(windows), rng, device)
        return clips, videomae.starts(windows, sizes.slices, device), *placed, mask, *keeps

    def learn(
        self, clips: Tensor, first: Tensor, places: Tensor, present: Tensor, mask: Tensor, *keeps: Tensor
    ) -> tuple[Tensor, ...]:
        """Logits and offsets of the first level, of the second, …: the network as it is trained, all clips run, with stochastic
        depth in backbone and pyramid."""
        left = list(keeps)
        deep = left.pop(0) if self.backbone.dims.drop_path else None
        x = self._by_frame(self.backbone.features(clips, first, deep), places, present)
        levels = self.head(x, mask[:, None].to(x.dtype), left.pop(0) if self.projection.path_drop else None)
        return tuple(each for level in levels for each in level)

    def _placed(self, windows: list[int], run: list[int], longest: int, device) -> tuple[Tensor, Tensor]:
        """Of windows of so many clips, of which the first `run` were run: where each window's tubelets are (B, longest), behind
        the last of them that last one; and which of its frames there are (B, longest * rate)."""
        sizes = self.dims.backbone
        counts = np.array(run) * sizes.slices
        places = np.cumsum(counts)[:, None] - counts[:, None] + np.minimum(np.arange(longest), counts[:, None] - 1)
        present = np.arange(longest * sizes.tubelet) < np.array(windows)[:, None] * sizes.frames
        return upload(places, device), upload(present, device)

    def _by_frame(self, x: Tensor, places: Tensor, present: Tensor) -> Tensor:
        """Tubelets (clips, slices, dim) -> frames (B, dim, T) of the windows, 0 where there are none; see `_placed`."""
        x = x.flatten(0, 1).index_select(0, places.flatten()).unflatten(0, places.shape).mT
        x = F.interpolate(x, scale_factor=float(self.dims.backbone.tubelet), mode="linear", align_corners=False)
        return x * present[:, None]


def level_masks(mask: Tensor, levels: int) -> list[Tensor]:
    """A window's mask (B, T) -> the masks (B, t) of its levels."""
    mask = F.pad(mask, (0, -mask.shape[1] % 2 ** (levels - 1)))
    return [mask[:, :: 2**level] for level in range(levels)]


# -- checkpoints ---------------------------------------------------------------------------------------------------------

HEAD = "rpn_head.cls_head."  # what the names of the layer with the labels begin with
STARTS_NEW = re.compile(r"^(projection|neck|rpn_head)\.|\.adapter\.")  # what weights to start from may lack: a VideoMAE's do
UNUSED = re.compile(r"^backbone\.(fc_norm|norm|head)\.")  # of the backbone's pretraining


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """OpenTAD's weights, or a mere VideoMAE's (any peer's), under our names; ours stay as they are."""
    detector = recognises(state)
    backbone, ours = {}, {}
    for key, value in state.items():
        name = re.sub(r"^backbone\.(model\.backbone\.)?", "", key)
        if detector and name == key:
            ours[key] = value
        else:
            backbone[name] = value
    ours |= {f"backbone.{key}": value for key, value in videomae.renamed(backbone).items()}
    return {key: value for key, value in ours.items() if not UNUSED.match(key)}


def may_be_new(key: str) -> bool:
    """Whether weights to start from may lack this one."""
    return STARTS_NEW.search(key) is not None


def recipe_for(state: dict[str, Tensor]) -> str:
    """The recipe of a peer's checkpoint (our names): by the width of its backbone, B's where it is none of the four."""
    width = len(state.get("backbone.patch_embed.proj.bias", ()))
    return next((f"adatad-{size}" for size, (dim, _, _) in videomae.SIZES.items() if dim == width), "adatad-b")


def recognises(state: dict[str, Tensor]) -> bool:
    """Whether these are the weights of an AdaTAD, ours or OpenTAD's."""
    return "rpn_head.cls_head.weight" in state and videomae.recognises(state)


def from_state(state: dict[str, Tensor], path, recipe: str | None = None, carried: dict | None = None, **sizes) -> AdaTAD:
    """An AdaTAD of the sizes that `state` (our names) shows, not yet filled.

    What does not show is in the recipe that the checkpoint carries, or in `sizes`: heads=, image_size= (where there is no
    table of positions) and head_heads=. Raises DataError.
    """
    carried = carried or {}
    known = {name: carried[name] for name in ("heads", "head_heads") if name in carried} | sizes
    head_heads = known.pop("head_heads", HeadDims.heads)
    if "rpn_head.cls_head.weight" not in state or "projection.embed.0.conv.weight" not in state:
        raise DataError(f"{path}: not an AdaTAD (holds {some(list(state))}); expected backbone.blocks…, projection…, rpn_head…")
    backbone = {key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}
    backbone_sizes = videomae.sizes_of(backbone, path, **known)
    for name in ("drop_path", "path_drop"):
        known[name] = carried.get(name, 0.0)
    head = _head_sizes(state) | {"heads": head_heads, "path_drop": known["path_drop"]}
    return AdaTAD(Dims(videomae.Dims(**backbone_sizes, drop_path=known["drop_path"]), HeadDims(**head)))


def _head_sizes(state: dict[str, Tensor]) -> dict:
    """The sizes of the head that `state` shows (see `HeadDims`)."""

    def count(prefix: str) -> int:
        places = {int(key.removeprefix(prefix).split(".")[0]) for key in state if key.startswith(prefix)}
        return len(places)

    channels, in_channels, _ = state["projection.embed.0.conv.weight"].shape
    return {
        "in_channels": in_channels, "channels": channels, "num_classes": len(state["rpn_head.cls_head.weight"]),
        "embed": count("projection.embed."), "stem": count("projection.stem."), "branch": count("projection.branch."),
        "convs": count("rpn_head.cls_convs."), "path_scale": "projection.branch.0.drop_path_attn.scale" in state,
    }  # fmt: skip
