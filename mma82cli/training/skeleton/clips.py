"""Clips in memory: the joints of a whole data set as one array (6.5 kB a clip of 32 frames), not heatmaps (8.9 MB)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mma82cli import records
from mma82cli.records import DataError, WrongUsage, wrong
from mma82cli.skeleton.keypoints import from_record
from mma82cli.skeleton.layouts import Layout, load_layout

if TYPE_CHECKING:
    from torch import Tensor


class Clip(NamedTuple):
    """One clip: joints float32 (M,T,V,3), x and y in pixels and a score; (height, width); label id, or -1."""

    joints: np.ndarray
    shape: tuple[int, int]
    label: int = -1

    @property
    def empty(self) -> bool:
        """No joint in any frame."""
        return not (self.joints[..., 2] > 0).any()


class Clips:
    """Clips one after the other: `joints` (rows, V, 3), where row 0 stands for whatever is missing.

    Frame t of person m of clip i is row first[i] + m * frames[i] + t. `shapes` (N, 2) are height and width.
    """

    def __init__(self, clips: Iterable[Clip], device="cpu"):
        import torch  # here, so that reading records needs numpy alone

        clips = list(clips)
        joints = clips[0].joints.shape[2]
        rows = [np.zeros((1, joints, 3), np.float32)] + [clip.joints.reshape(-1, joints, 3) for clip in clips]
        self.frames = np.array([clip.joints.shape[1] for clip in clips])
        self.persons = np.array([clip.joints.shape[0] for clip in clips])
        self.first = 1 + np.concatenate(([0], np.cumsum(self.frames * self.persons)[:-1]))
        self.joints = torch.from_numpy(np.concatenate(rows)).to(device)
        self.shapes = torch.tensor([clip.shape for clip in clips]).to(device)
        self.labels = torch.tensor([clip.label for clip in clips]).to(device)

    def __len__(self) -> int:
        return len(self.frames)

    def gather(self, rows: np.ndarray, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Frames `indices` (B, T) of the clips `rows` (B,) -> joints (B, M, T, V, 3), shapes (B, 2)."""
        person = np.arange(self.persons[rows].max())[None, :, None]  # (1, M, 1)
        at = (self.first[rows][:, None] + indices)[:, None] + person * self.frames[rows][:, None, None]  # (B, M, T)
        at = np.where(person < self.persons[rows][:, None, None], at, 0)
        at, rows = (self.labels.new_tensor(which) for which in (at, rows))
        return self.joints[at], self.shapes[rows]


def read_clip(record: dict, layout: Layout) -> Clip:
    """The clip of a record of joints. Joints of score 0 are missing. Raises DataError.

    Without `width` and `height` the picture is taken to end at the outermost joint.
    """
    joints = from_record(record, len(layout))
    np.clip(joints[..., 2], 0, 1, out=joints[..., 2])
    joints[joints[..., 2] == 0] = 0
    widest, highest = np.ceil(joints[..., :2].max((0, 1, 2))).astype(int) + 1
    height = records.integer(record, "height", None, 1) or max(1, int(highest))
    width = records.integer(record, "width", None, 1) or max(1, int(widest))
    return Clip(joints, (height, width))


class LayoutOfStream:
    """The layout that all records of a stream must have: the one given, else the first record's."""

    def __init__(self, given: Layout | None = None):
        self.layout, self.given = given, given is not None

    def check(self, record: dict) -> Layout:
        """The record's layout. Raises DataError where it is missing, unknown, or not the others'."""
        if "keypoints" not in record:
            raise wrong("keypoints", records.MISSING, "joints, frame by frame (`mma82 extract-skeleton` adds them)")
        name = record.get("layout")
        if self.layout is None:
            if not isinstance(name, str) or not name:
                raise wrong("layout", name, "the name of a joint set, such as coco17")
            try:
                self.layout = load_layout(name)
            except WrongUsage as error:
                raise DataError(f"field 'layout' is {records.show(name)}; {error} (--layout)") from None
        elif name != self.layout.name and not (self.given and name is None):
            raise wrong("layout", name, f"{self.layout.name}, as {'was asked for' if self.given else 'the records before'}")
        return self.layout
