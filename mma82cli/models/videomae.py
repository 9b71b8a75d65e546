"""VideoMAE: a plain vision transformer on tubes of video (Tong et al. 2022), and AdaTAD's adapters in its blocks.

A tubelet of 2 x 16 x 16 pixels is a token; attention is within a clip of 16 frames. An adapter (Liu et al. 2024, "End-to-End
Temporal Action Detection with 1B Parameters") ends every block where it is asked for: a narrow bottleneck with a
depthwise convolution over time, which alone reaches from clip to clip of a window.

Windows of any lengths are packed: their clips lie one after the other in one batch, so no clip is run that is only there
to fill a window up. Tokens stay in one layout throughout, (clips, tubelets * places, channels); the convolution over time
adds shifted copies.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mma82cli.devices import upload
from mma82cli.models.weights import some
from mma82cli.records import DataError

EPS = 1e-6  # of layer norms
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of RGB in 0..255


@dataclass(frozen=True)
class Dims:
    """The sizes of a VideoMAE; the defaults are those of B."""

    dim: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072  # of a block's MLP
    image_size: int = 224  # of the table of positions, which is resized to what comes in
    frames: int = 16  # of a clip
    patch: int = 16
    tubelet: int = 2
    adapter: int = 0  # channels of the adapters; 0: none
    adapter_blocks: tuple[int, ...] | None = None  # which blocks have one; None: all
    drop_path: float = 0.0  # chance that a clip skips the last block's branches; rises linearly from the first block
    final_norm: bool = False  # a layer norm after the last block (pretraining, and checkpoints without mean pooling)
    classes: int = 0  # of the classifier; 0: none

    @property
    def slices(self) -> int:
        """Tubelets of a clip, one after the other (8)."""
        return self.frames // self.tubelet

    def adapts(self, block: int) -> bool:
        """Whether block `block` ends in an adapter."""
        return self.adapter > 0 and (self.adapter_blocks is None or block in self.adapter_blocks)


SIZES = {  # dim, depth, heads
    "s": (384, 12, 6), "b": (768, 12, 12), "l": (1024, 24, 16), "h": (1280, 32, 16),
}  # fmt: skip


def sinusoids(positions: int, dim: int) -> Tensor:
    """(1, positions, dim) float32: sin at even channels, cos at odd ones, wavelengths from 2 pi to 20000 pi."""
    angle = np.arange(positions)[:, None] / 10000 ** (2 * (np.arange(dim) // 2) / dim)
    table = np.where(np.arange(dim) % 2 == 0, np.sin(angle), np.cos(angle))
    return torch.from_numpy(table.astype(np.float32))[None]


class PatchEmbed(nn.Module):
    """Frames (B, 3, T, H, W) -> tokens (B, T/tubelet, h*w, dim) without positions."""

    def __init__(self, dims: Dims):
        super().__init__()
        kernel = (dims.tubelet, dims.patch, dims.patch)
        self.proj = nn.Conv3d(3, dims.dim, kernel, kernel)  # holds the weights; tubelets don't overlap: a matrix product
        self.tubelet, self.patch = dims.tubelet, dims.patch
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1, 1), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Bytes 0..255 are normalised here; floating-point frames come normalised."""
        n, p = self.tubelet, self.patch
        x = frames.unflatten(4, (-1, p)).unflatten(3, (-1, p)).unflatten(2, (-1, n))  # (B, 3, t, n, h, p, w, p)
        x = x.permute(0, 2, 4, 6, 1, 3, 5, 7)  # (B, t, h, w, 3, n, p, p)
        if x.dtype == torch.uint8:
            x = (x.to(self.mean.dtype) - self.mean) / self.std
        return F.linear(x.flatten(4).flatten(2, 3), self.proj.weight.flatten(1), self.proj.bias)


class Attention(nn.Module):
    """Self-attention within each clip; keys have no bias."""

    def __init__(self, dims: Dims):
        super().__init__()
        self.heads = dims.heads
        self.qkv = nn.Linear(dims.dim, 3 * dims.dim, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(dims.dim))
        self.v_bias = nn.Parameter(torch.zeros(dims.dim))
        self.proj = nn.Linear(dims.dim, dims.dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, dim) -> the same."""
        bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
        qkv = F.linear(x, self.qkv.weight, bias).unflatten(2, (3, self.heads, -1))  # (N, tokens, 3, heads, channels)
        x = F.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4).unbind(0))  # (N, heads, tokens, channels)
        return self.proj(x.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, dims: Dims):
        super().__init__()
        self.fc1 = nn.Linear(dims.dim, dims.hidden)
        self.fc2 = nn.Linear(dims.hidden, dims.dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, dim) -> the same."""
        return self.fc2(F.gelu(self.fc1(x)))


class Adapter(nn.Module):
    """x + gamma * up(a + pointwise(convolution over time(a))), a = GELU(down(x)). An identity at first."""

    def __init__(self, dims: Dims):
        super().__init__()
        width = dims.adapter
        self.down_proj = nn.Linear(dims.dim, width)
        self.dwconv = nn.Conv1d(width, width, 3, padding=1, groups=width)  # holds the weights; `forward` adds shifted copies
        self.conv = nn.Conv1d(width, width, 1)
        self.up_proj = nn.Linear(width, dims.dim)
        self.gamma = nn.Parameter(torch.ones(1))

    def initialise(self) -> None:
        """As the peer does."""
        nn.init.trunc_normal_(self.down_proj.weight, std=0.02)
        nn.init.normal_(self.dwconv.weight, std=math.sqrt(2 / 3))
        nn.init.normal_(self.conv.weight, std=math.sqrt(2 / len(self.conv.weight)))
        nn.init.zeros_(self.up_proj.weight)
        for layer in (self.down_proj, self.dwconv, self.conv, self.up_proj):
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, first: Tensor, slices: int) -> Tensor:
        """x (N, slices*h*w, dim); `first` (windows,) is the number of the first tubelet of each window in the batch."""
        a = F.gelu(self.down_proj(x))
        tubes = a.view(len(a) * slices, -1, a.shape[2])  # (tubelets, h*w, channels), time along the first axis
        before, here, after = self.dwconv.weight.squeeze(1).unbind(1)
        y = torch.addcmul(self.dwconv.bias.to(a.dtype), tubes, here.to(a.dtype))
        y = y + tubes.roll(1, 0).index_fill(0, first, 0) * before.to(a.dtype)
        y = y + tubes.roll(-1, 0).index_fill(0, (first - 1) % len(tubes), 0) * after.to(a.dtype)
        y = F.linear(y, self.conv.weight.squeeze(2), self.conv.bias).view_as(a)
        return x + self.gamma * self.up_proj(a + y)


class Block(nn.Module):
    """Attention and MLP, each behind a layer norm and with a way round it, and perhaps an adapter."""

    def __init__(self, dims: Dims, adapts: bool):
        super().__init__()
        self.norm1 = nn.LayerNorm(dims.dim, eps=EPS)
        self.attn = Attention(dims)
        self.norm2 = nn.LayerNorm(dims.dim, eps=EPS)
        self.mlp = MLP(dims)
        self.adapter = Adapter(dims) if adapts else None

    def forward(self, x: Tensor, first: Tensor, slices: int, keep: Tensor | None = None) -> Tensor:
        """(N, tokens, dim) -> the same. `keep` (2, N, 1, 1) weighs each clip's branches (stochastic depth)."""
        attended = self.attn(self.norm1(x))
        x = x + (attended if keep is None else attended * keep[0])
        changed = self.mlp(self.norm2(x))
        x = x + (changed if keep is None else changed * keep[1])
        return x if self.adapter is None else self.adapter(x, first, slices)


class VideoMAE(nn.Module):
    """model(frames (B, 3, T, H, W)) -> tokens (B, T/2*h*w, dim). T is even and at most dims.frames, H and W multiples of 16.

    VideoMAE(dim=, depth=, heads=, …): see `Dims`. With adapters use `features`, which knows windows.
    """

    pos_embed: Tensor

    def __init__(self, dims: Dims | None = None, **sizes):
        super().__init__()
        self.dims = dims = Dims(**sizes) if dims is None else dims
        self.patch_embed = PatchEmbed(dims)
        grid = dims.image_size // dims.patch
        self.register_buffer("pos_embed", sinusoids(dims.slices * grid * grid, dims.dim))
        self.blocks = nn.ModuleList(Block(dims, dims.adapts(i)) for i in range(dims.depth))
        self.norm = nn.LayerNorm(dims.dim, eps=EPS) if dims.final_norm else None
        self.fc_norm = nn.LayerNorm(dims.dim, eps=EPS) if dims.classes else None
        self.head = nn.Linear(dims.dim, dims.classes) if dims.classes else None
        self._kept: tuple[tuple, Tensor] | None = None  # the table at another size
        self.checkpointing = False  # recompute each block's activations in the backward pass
        self.initialise()

    @property
    def num_classes(self) -> int:
        """Labels that it scores; 0: none."""
        return self.dims.classes

    def initialise(self) -> None:
        """Small normal weights, no biases; adapters as the peer has them."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for block in self.blocks:
            if isinstance(block.adapter, Adapter):
                block.adapter.initialise()

    def positions(self, slices: int, h: int, w: int) -> Tensor:
        """(1, slices*h*w, dim): the table, resized bicubically in each slice of time."""
        grid = self.dims.image_size // self.dims.patch
        table = self.pos_embed.view(-1, grid, grid, self.dims.dim)[:slices]
        if len(table) < slices:
            raise ValueError(f"{slices * self.dims.tubelet} frames in a clip; the table of positions has {self.dims.frames}")
        if (h, w) != (grid, grid):
            table = self._resized(table, h, w)
        return table.flatten(0, 2)[None]

    @torch.inference_mode(False)
    @torch.no_grad()
    def _resized(self, table: Tensor, h: int, w: int) -> Tensor:
        """The table (slices, grid, grid, dim) at another size, kept: on a GPU this takes as long as a block. A recording
        (`training.replays`) reads it where it lies."""
        key = len(table), h, w, table.device, self.pos_embed._version
        if self._kept is None or self._kept[0] != key:
            resized = F.interpolate(table.permute(0, 3, 1, 2), (h, w), mode="bicubic", align_corners=False)
            self._kept = key, resized.permute(0, 2, 3, 1).contiguous()
        return self._kept[1]

    def embed(self, clips: Tensor) -> Tensor:
        """Clips (N, 3, T, H, W) -> tokens (N, T/2*h*w, dim), positions added."""
        slices, h, w = clips.shape[2] // self.dims.tubelet, *(side // self.dims.patch for side in clips.shape[3:])
        return self.patch_embed(clips).flatten(1, 2) + self.positions(slices, h, w)

    def draw(self, clips: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """Stochastic depth for a batch of so many clips: what weighs each block's branches, (depth, 2, clips, 1, 1); nothing
        where no clip skips anything."""
        if not self.dims.drop_path:
            return ()
        rates = np.linspace(0, self.dims.drop_path, self.dims.depth)[:, None, None, None, None]
        kept = (rng.random((self.dims.depth, 2, clips, 1, 1), dtype=np.float32) >= rates) / (1 - rates)
        return (upload(kept, self.pos_embed.device, torch.float32),)

    def features(self, clips: Tensor, first: Tensor, keeps: Tensor | None = None) -> Tensor:
        """Packed clips (N, 3, T, H, W) -> (N, T/2, dim), means over places. `first` (windows,) is the number of each window's
        first tubelet (see `starts`); `keeps` as `draw` gives them."""
        slices = clips.shape[2] // self.dims.tubelet
        return self._tokens(clips, first, slices, keeps).unflatten(1, (slices, -1)).mean(2)

    def features_of(self, clips: Tensor, windows: list[int], needed: list[int]) -> Tensor:
        """Packed clips (N, 3, T, H, W), `windows` clips in each window, of which only the first `needed` are wanted -> (sum of
        needed, T/2, dim): others are run as long as they can matter, which is one clip fewer behind them from block to block
        (an adapter reaches one tubelet, attention a whole clip)."""
        slices = clips.shape[2] // self.dims.tubelet
        reach = sum(map(self.dims.adapts, range(self.dims.depth)))  # clips behind the needed ones that still matter
        alive = _first_of(windows, [min(n, k + reach) for n, k in zip(windows, needed, strict=True)])
        x = self.embed(clips if len(alive) == len(clips) else clips[upload(alive, clips.device)])
        for i, block in enumerate(self.blocks):
            left = [min(n, k + reach) for n, k in zip(windows, needed, strict=True)]
            x, alive = _trimmed(x, alive, _first_of(windows, left))
            x = self._through(block, x, starts(left, slices, x.device), slices)
            reach -= self.dims.adapts(i)
        x, _ = _trimmed(x, alive, _first_of(windows, needed))
        return self._ended(x).unflatten(1, (slices, -1)).mean(2)

    def _through(self, block: nn.Module, *given) -> Tensor:
        """What the block makes of it, its activations kept or not."""
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(block, *given, use_reentrant=False)
        return block(*given)

    def _tokens(self, clips: Tensor, first: Tensor, slices: int, keeps: Tensor | None = None) -> Tensor:
        """All clips through all blocks."""
        x = self.embed(clips)
        for i, block in enumerate(self.blocks):
            x = self._through(block, x, first, slices, None if keeps is None else keeps[i])
        return self._ended(x)

    def _ended(self, x: Tensor) -> Tensor:
        return x if self.norm is None else self.norm(x)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, T/2*h*w, dim)."""
        slices = frames.shape[2] // self.dims.tubelet
        return self._tokens(frames, starts([1] * len(frames), slices, frames.device), slices)

    def logits(self, frames: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, classes), where the checkpoint had a classifier."""
        return self.head(self.fc_norm(self(frames).mean(1)))


def starts(windows: list[int], slices: int, device) -> Tensor:
    """(windows,) the number of each window's first tubelet, of `slices` a clip."""
    return upload(np.concatenate(([0], np.cumsum(windows)[:-1])) * slices, device, torch.long)


def _first_of(windows: list[int], counts: list[int]) -> np.ndarray:
    """Numbers, in the packed batch, of the first `counts` clips of each window."""
    begins = np.cumsum([0, *windows])
    return np.concatenate([np.arange(begin, begin + count) for begin, count in zip(begins, counts, strict=False)])


def _trimmed(x: Tensor, alive: np.ndarray, wanted: np.ndarray) -> tuple[Tensor, np.ndarray]:
    """The rows of `x`, which are the clips `alive`, that are `wanted`."""
    if len(wanted) == len(alive):
        return x, alive
    return x[upload(np.searchsorted(alive, wanted), x.device)], wanted


# -- checkpoints ---------------------------------------------------------------------------------------------------------

HEAD = "head."  # what the names of the layer with the labels begin with

# Peers' names and ours, in order: of the official code, mmaction2, and Hugging Face before and since its version 5.
RENAMES = tuple(
    (re.compile(pattern), ours)
    for pattern, ours in (
        (r"^(backbone|videomae)\.", ""),
        (r"^encoder\.(?=blocks|norm|patch_embed)", ""),  # the official pretraining's
        (r"^(embeddings\.patch_embeddings|patch_embed)\.projection\.", "patch_embed.proj."),
        (r"\.mlp\.layers\.0\.0\.", ".mlp.fc1."),
        (r"\.mlp\.layers\.1\.", ".mlp.fc2."),
        (r"^(encoder\.)?layer\.(\d+)\.", r"blocks.\2."),
        (r"\.attention\.attention\.(q_bias|v_bias)$", r".attn.\1"),
        (r"\.attention\.attention\.(q|v)(uery|alue)\.bias$", r".attn.\1_bias"),
        (r"\.attention\.attention\.(query|key|value)\.weight$", r".attn.\1"),  # joined below
        (r"\.attention\.output\.dense\.", ".attn.proj."),
        (r"\.intermediate\.dense\.", ".mlp.fc1."),
        (r"(blocks\.\d+)\.output\.dense\.", r"\1.mlp.fc2."),
        (r"\.layernorm_before\.", ".norm1."),
        (r"\.layernorm_after\.", ".norm2."),
        (r"^layernorm\.", "norm."),
        (r"^(classifier|cls_head\.fc_cls)\.", HEAD),
    )
)
PRETRAINING = re.compile(r"^(decoder|encoder_to_decoder|mask_token|position_embeddings)")  # parts that nothing here needs


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A peer's weights under our names; ours stay as they are."""
    ours = {}
    for key, value in state.items():
        for pattern, name in RENAMES:
            key = pattern.sub(name, key)
        if not PRETRAINING.match(key):
            ours[key] = value
    for key in [key for key in ours if key.endswith(".attn.query")]:
        parts = [ours.pop(key.replace("query", part), None) for part in ("query", "key", "value")]
        if all(part is not None for part in parts):
            ours[key.replace("query", "qkv.weight")] = torch.cat(parts)
    return ours


def recognises(state: dict[str, Tensor]) -> bool:
    """Whether these are the weights of a VideoMAE, ours or a peer's."""
    return any(key.endswith(("attn.qkv.weight", "attention.attention.query.weight")) for key in state)


def from_state(state: dict[str, Tensor], path, recipe: str | None = None, carried: dict | None = None, **sizes) -> VideoMAE:
    """A VideoMAE of the sizes that `state` (our names) shows, not yet filled.

    `sizes` say what does not show: heads=, image_size= (where there is no table of positions). Raises DataError.
    """
    return VideoMAE(Dims(**sizes_of(state, path, **sizes)))


def sizes_of(state: dict[str, Tensor], path="checkpoint", **sizes) -> dict:
    """The sizes of a VideoMAE (see `Dims`) that `state` (our names) shows, with `sizes` over them. Raises DataError."""
    patches, first = state.get("patch_embed.proj.weight"), state.get("blocks.0.mlp.fc1.weight")
    if patches is None or first is None or patches.ndim != 5:
        raise DataError(f"{path}: not a VideoMAE (holds {some(list(state))}); expected patch_embed.proj.weight [D,3,2,16,16], …")
    dim, _, tubelet, patch, _ = patches.shape
    adapted = [key for key in state if key.endswith(".adapter.down_proj.weight")]
    shown: dict[str, Any] = {
        "dim": dim, "hidden": len(first), "tubelet": tubelet, "patch": patch,
        "heads": 16 if dim == 1280 else max(1, dim // 64),
        "depth": 1 + max(int(key.split(".")[1]) for key in state if key.startswith("blocks.")),
        "final_norm": "norm.weight" in state,
        "classes": len(state["head.weight"]) if "head.weight" in state else 0,
        "adapter": len(state[adapted[0]]) if adapted else 0,
        "adapter_blocks": tuple(sorted(int(key.split(".")[1]) for key in adapted)),
    }  # fmt: skip
    if "pos_embed" in state:
        count, slices = state["pos_embed"].shape[1], Dims.frames // tubelet
        grid = sizes["image_size"] // patch if "image_size" in sizes else max(1, math.isqrt(count // slices))
        shown |= {"image_size": grid * patch, "frames": count // grid**2 * tubelet}
    shown |= sizes
    if dim % shown["heads"]:
        found = f"{dim} channels can't go to {shown['heads']} heads"
        raise DataError(f"{path}: {found}; expected the recipe that it was trained by (--recipe)")
    return shown
