"""ST-GCN: a small graph network on joints, bones and their motion, for any layout.

A graph convolution mixes joints along learned graphs (adaptive adjacency, as in 2s-AGCN, Shi et al. 2019: they start as the
body's limbs, towards its middle and away from it); a temporal convolution has branches of several dilations and a pooling
(as in MS-G3D, Liu et al. 2020, and ST-GCN++, Duan et al. 2022). Joints, bones and motion enter together, not as a network each.

Tensors between blocks are (N, C, T, V), channels-last in memory: every 1x1 convolution is one matrix product, and the mixing
of joints another, without a copy. N counts persons: B clips of M.
"""

from __future__ import annotations

import copy
import re
from collections import deque
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mma82cli.models.folding import fold_norm
from mma82cli.models.weights import some
from mma82cli.records import DataError

HEAD = "cls_head."  # what the keys of the last layer begin with
STREAMS = 9  # numbers a joint: x, y, score; bone x, y; motion of the joint x, y; motion of the bone x, y
GRAPHS = 3  # a joint itself, its neighbours nearer the middle, those farther out


@dataclass(frozen=True)
class Dims:
    """The sizes of an ST-GCN. Where channels rise from block to block, time is halved."""

    joints: int = 17
    num_classes: int = 82
    channels: tuple[int, ...] = (48, 48, 96, 96, 192, 192)
    dilations: tuple[int, ...] = (1, 2, 3, 4)
    dropout: float = 0.5

    def __post_init__(self):
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "dilations", tuple(self.dilations))
        branches = len(self.dilations) + 2
        if not self.channels or any(c % branches for c in self.channels):
            raise ValueError(f"channels {list(self.channels)} don't divide among {branches} temporal branches")


def tree(joints: int, limbs) -> tuple[list[int], list[int]]:
    """(parents, depths) of the tree that the limbs make, breadth first from the joint whose farthest other is nearest.

    Every connected part has a root: its own parent, of depth 0. A joint that no limb reaches is one.
    """
    near: list[list[int]] = [[] for _ in range(joints)]
    for a, b in limbs:
        near[a].append(b)
        near[b].append(a)
    parents, depths = list(range(joints)), [-1] * joints
    for start in range(joints):
        if depths[start] < 0:
            root = min(_reach(start, near), key=lambda joint: max(depth for _, depth in _reach(joint, near).values()))
            for joint, (parent, depth) in _reach(root, near).items():
                parents[joint], depths[joint] = parent, depth
    return parents, depths


def _reach(start: int, near: list[list[int]]) -> dict[int, tuple[int, int]]:
    """Every joint that limbs connect with `start`: where it is reached from, over how many limbs."""
    found, queue = {start: (start, 0)}, deque([start])
    while queue:
        joint = queue.popleft()
        for other in near[joint]:
            if other not in found:
                found[other] = (joint, found[joint][1] + 1)
                queue.append(other)
    return found


def body_graphs(joints: int, limbs) -> Tensor:
    """(GRAPHS, V, V): row v says from which joints v takes: itself; neighbours nearer the middle; neighbours farther out."""
    _, depths = tree(joints, limbs)
    graphs = torch.zeros(GRAPHS, joints, joints)
    graphs[0] = torch.eye(joints)
    for a, b in limbs:
        for to, source in ((a, b), (b, a)):
            graphs[1 if depths[source] < depths[to] else 2, to, source] = 1
    return graphs / graphs.sum(2, keepdim=True).clamp(min=1)


class GraphConv(nn.Module):
    """(N, C, T, V) -> (N, out, T, V): each graph has its weights; the graphs' edges are learned too."""

    def __init__(self, channels: int, out: int, graphs: Tensor):
        super().__init__()
        self.graphs = nn.Parameter(graphs.clone())
        self.conv = nn.Conv2d(channels, GRAPHS * out, 1, bias=False)
        self.bn = nn.BatchNorm2d(out)
        self.down = nn.Sequential(nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out)) if channels != out else None

    def forward(self, x: Tensor) -> Tensor:
        n, _, t, v = x.shape
        y = self.conv(x).permute(0, 2, 3, 1).reshape(n * t, v * GRAPHS, -1)  # (N*T, V*3, out)
        y = torch.bmm(self.graphs.permute(1, 2, 0).reshape(1, v, v * GRAPHS).expand(n * t, -1, -1), y)  # (N*T, V, out)
        y = self.bn(y.view(n, t, v, -1).permute(0, 3, 1, 2))
        return F.relu(y + (x if self.down is None else self.down(x)))


def every(stride: int, x: Tensor) -> Tensor:
    """(N, C, T, V) -> (N, C, T/stride, V): every `stride`th moment. By pooling, as a slice's gradient is not channels-last;
    a convolution of this stride would do, but on CPUs without AMX oneDNN's gradient of one in bf16 writes past its memory
    where there are fewer than 16 channels."""
    return F.max_pool2d(x, 1, (stride, 1)) if stride > 1 else x


class TemporalConv(nn.Module):
    """(N, C, T, V) -> (N, C, T/stride, V): branches of dilated 3x1 kernels, one of max pooling, one of single frames."""

    def __init__(self, channels: int, dilations: tuple[int, ...], stride: int):
        super().__init__()
        width = channels // (len(dilations) + 2)
        self.dilations, self.stride, self.width = dilations, stride, width
        self.enter = nn.Conv2d(channels, channels, 1, bias=False)
        self.enter_bn = nn.BatchNorm2d(channels)
        self.branches = nn.ModuleList(nn.Conv2d(width, width, (3, 1), (stride, 1), (d, 0), (d, 1), bias=False) for d in dilations)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        parts = F.relu(self.enter_bn(self.enter(x))).split(self.width, 1)
        parts = [part.contiguous(memory_format=torch.channels_last) for part in parts]
        done = [branch(part) for branch, part in zip(self.branches, parts, strict=False)]
        done.append(F.max_pool2d(parts[-2], (3, 1), (self.stride, 1), (1, 0)))
        done.append(every(self.stride, parts[-1]))
        return self.bn(torch.cat(done, 1))


class Block(nn.Module):
    """A graph convolution, a temporal one, and the way round them."""

    def __init__(self, channels: int, out: int, dilations: tuple[int, ...], graphs: Tensor):
        super().__init__()
        stride = 2 if out > channels else 1
        self.graph = GraphConv(channels, out, graphs)
        self.time = TemporalConv(out, dilations, stride)
        self.stride = stride
        self.down = None
        if channels != out or stride > 1:
            self.down = nn.Sequential(nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V) -> (N, out, T/stride, V)."""
        return F.relu(self.time(self.graph(x)) + (x if self.down is None else self.down(every(self.stride, x))))


class Streams(nn.Module):
    """Joints (N, T, V, 3) -> (N, STREAMS, T, V), channels-last: what the network reads of a person.

    A bone leads from the parent to the joint, motion from the frame before. Where an end of either is missing (score 0),
    it is 0.
    """

    parents: Tensor

    def __init__(self, parents: list[int]):
        super().__init__()
        self.register_buffer("parents", torch.tensor(parents))

    def forward(self, points: Tensor) -> Tensor:
        here = (points[..., 2:] > 0).to(points.dtype)  # (N, T, V, 1)
        xy = points[..., :2] * here
        bone = (xy - xy[:, :, self.parents]) * here * here[:, :, self.parents]
        both = here[:, 1:] * here[:, :-1]
        moves = [F.pad((x[:, 1:] - x[:, :-1]) * both, (0, 0, 0, 0, 1, 0)) for x in (xy, bone)]
        return torch.cat((xy, points[..., 2:], bone, *moves), -1).permute(0, 3, 1, 2)


class Backbone(nn.Module):
    """The streams, batch norm of each joint's numbers for itself, and the blocks."""

    def __init__(self, dims: Dims, limbs):
        super().__init__()
        graphs = body_graphs(dims.joints, limbs)
        self.streams = Streams(tree(dims.joints, limbs)[0])
        self.data_bn = nn.BatchNorm2d(STREAMS * dims.joints)
        self.stem = nn.Conv2d(STREAMS, dims.channels[0], 1)
        widths = (dims.channels[0], *dims.channels)
        pairs = zip(widths, dims.channels, strict=False)
        self.blocks = nn.ModuleList(Block(channels, out, dims.dilations, graphs) for channels, out in pairs)

    def forward(self, points: Tensor) -> Tensor:
        """Joints (N, T, V, 3) -> features (N, C, T', V)."""
        x = self.streams(points)
        n, c, t, v = x.shape
        x = self.data_bn(x.permute(0, 3, 1, 2).reshape(n, v * c, t, 1)).view(n, v, c, t).permute(0, 2, 3, 1)
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            x = block(x)
        return x


class Head(nn.Module):
    """Dropout and a linear layer."""

    def __init__(self, dims: Dims):
        super().__init__()
        self.dropout = nn.Dropout(dims.dropout)
        self.fc_cls = nn.Linear(dims.channels[-1], dims.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C) -> logits (B, classes)."""
        return self.fc_cls(self.dropout(x))


class STGCN(nn.Module):
    """model(joints (B, M, T, V, 3)) -> logits (B, num_classes): x and y relative to the clip's box, and a score (0: missing).

    STGCN(limbs=, joints=, num_classes=, channels=, dilations=, dropout=): see `Dims`; `limbs` [(from, to), …] only shape
    how the learned graphs begin, and the bones.
    """

    def __init__(self, dims: Dims | None = None, limbs=(), **sizes):
        super().__init__()
        self.dims = Dims(**sizes) if dims is None else dims
        self.backbone = Backbone(self.dims, limbs)
        self.cls_head = Head(self.dims)
        self.initialise()

    @property
    def num_classes(self) -> int:
        """Labels that it scores."""
        return self.dims.num_classes

    @property
    def reads(self) -> int:
        """Joints that it knows."""
        return self.dims.joints

    def initialise(self) -> None:
        """He's initialisation (fan out), a small last layer."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.cls_head.fc_cls.weight, std=0.01)
        nn.init.zeros_(self.cls_head.fc_cls.bias)

    def pooled(self, joints: Tensor) -> Tensor:
        """(B, M, T, V, 3) -> (B, C), C = dims.channels[-1]: the mean over frames, joints, and the persons that are there."""
        batch, persons = joints.shape[:2]
        pooled = self.backbone(joints.flatten(0, 1)).mean((2, 3)).view(batch, persons, -1)
        if persons == 1:
            return pooled[:, 0]
        there = (joints[..., 2] > 0).any(-1).any(-1)[..., None].to(pooled.dtype)  # (B, M, 1)
        return (pooled * there).sum(1) / there.sum(1).clamp(min=1)

    def forward(self, joints: Tensor) -> Tensor:
        """(B, M, T, V, 3) -> (B, num_classes)."""
        return self.cls_head(self.pooled(joints))


def fold(model: STGCN) -> STGCN:
    """A copy for inference with batch norm folded into the convolution before it, wherever there is nothing between them.

    Its logits are the model's in eval mode, but for rounding. It cannot be trained, and its keys differ.
    """
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    for module in folded.modules():
        if isinstance(module, TemporalConv):
            fold_norm(module, "enter", "enter_bn")
        elif isinstance(module, (Block, GraphConv)) and module.down is not None:
            fold_norm(module.down, "0", "1")
    return folded


def recognises(state: dict[str, Tensor]) -> bool:
    """Whether these are the weights of an ST-GCN of ours."""
    return "backbone.blocks.0.graph.graphs" in state


def from_state(state: dict[str, Tensor], path, recipe: str | None = None, carried: dict | None = None, **sizes) -> STGCN:
    """An ST-GCN of the sizes that `state` shows, not yet filled. Dilations don't show: they are those of the recipe carried,
    else 1, 2, 3, …. `sizes` override. Raises DataError where it is no ST-GCN."""
    carried = carried or {}
    widths, branches = {}, set()
    for key, value in state.items():
        if found := re.fullmatch(r"backbone\.blocks\.(\d+)\.time\.bn\.weight", key):
            widths[int(found[1])] = len(value)
        elif found := re.match(r"backbone\.blocks\.0\.time\.branches\.(\d+)\.", key):
            branches.add(int(found[1]))
    graphs, last = state.get("backbone.blocks.0.graph.graphs"), state.get("cls_head.fc_cls.weight")
    if graphs is None or last is None or not branches or sorted(widths) != list(range(len(widths))):
        expected = "backbone.blocks.0.graph.graphs [3,V,V], backbone.blocks.0.time…, cls_head.fc_cls.weight"
        raise DataError(f"{path}: not an ST-GCN (holds {some(list(state))}); expected {expected}")
    shown = {
        "joints": graphs.shape[-1], "num_classes": len(last), "channels": [widths[i] for i in sorted(widths)],
        "dilations": carried.get("dilations") or range(1, len(branches) + 1),
    }  # fmt: skip
    dropout = {"dropout": float(carried["dropout"])} if "dropout" in carried else {}
    return STGCN(**{**shown, **dropout, **sizes})


def input_of(model: nn.Module, recipe) -> tuple[str, tuple]:
    """What an exported network reads: its name and axes."""
    return "joints", ("batch", "persons", recipe.frames, model.reads, 3)
