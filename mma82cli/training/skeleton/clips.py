"""Clips in memory: the joints of a whole data set in six bytes each (3.3 kB a clip of 32 frames), not heatmaps (8.9 MB)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mma82cli import records
from mma82cli.records import DataError, WrongUsage, wrong
from mma82cli.skeleton.keypoints import from_record
from mma82cli.skeleton.layouts import Layout, load_layout

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 65534  # of an int16, from the least place of a clip's joints to the greatest
HUNDREDTHS, THOUSANDTHS, SCORE_STEPS = 100.0, 1000.0, 32767.0
GROWTH = 1.25  # of the memory for joints, when it is full
FARTHEST = 1 << 30  # pixels that a picture without width and height may have


class Clip(NamedTuple):
    """One clip: joints float32 (M,T,V,3), x and y in pixels and a score; (height, width); label id, or -1."""

    joints: np.ndarray
    shape: tuple[int, int]
    label: int = -1

    @property
    def empty(self) -> bool:
        """No joint in any frame."""
        return not (self.joints[..., 2] > 0).any()


def pack(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joints float32 (M,T,V,3) -> int16 of the same shape, origin (3,), parts (3,): a value is (packed + origin) / parts.

    Places in hundredths of a pixel and scores in thousandths, as records have them, come back exactly (a float16 relative
    to the box would be up to 0.1 px off), as long as the clip's joints span no more than 655 pixels; else the step is
    1/65534 of what they span. A missing joint (score 0) is 0, 0, 0.
    """
    present = joints[..., 2] > 0
    values = joints[present].astype(np.float64)  # (N, 3)
    packed = np.zeros(joints.shape, np.int16)
    if not len(values):
        return packed, np.zeros(3), np.ones(3)
    low, high = values[:, :2].min(0), values[:, :2].max(0)
    parts = np.array([HUNDREDTHS, HUNDREDTHS, THOUSANDTHS])
    exact = ((np.rint(values * parts) / parts).astype(np.float32) == values).all(0)
    if not exact[:2].all() or (high - low).max() * HUNDREDTHS > STEPS:
        parts[:2] = STEPS / max((high - low).max(), 1e-9)
    if not exact[2]:
        parts[2] = SCORE_STEPS
    origin = np.array([*np.rint(low * parts[:2]) + (STEPS + 2) // 2, 0.0])
    codes = np.rint(values * parts) - origin
    codes[:, 2] = codes[:, 2].clip(1)
    packed[present] = codes
    return packed, origin, parts


class ClipStore:
    """Clips as they are read, packed, in memory that grows as they come; `arrays` is all of it, for a cache."""

    def __init__(self, clips: Iterable[Clip] = ()):
        self.rows = np.zeros((0, 0, 3), np.int16)  # all frames of all persons; row 0 stands for whatever is missing
        self.used = 1
        self.each: dict[str, Any] = {name: [] for name in ("frames", "persons", "labels", "shapes", "origins", "parts")}
        for clip in clips:
            self.append(clip)

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray]) -> ClipStore:
        """The store that these `arrays` are of; nothing can be added to it."""
        store = cls()
        store.rows, store.used = arrays["joints"], len(arrays["joints"])
        store.each = {name: arrays[name] for name in store.each}
        return store

    def __len__(self) -> int:
        return len(self.each["frames"])

    def append(self, clip: Clip) -> None:
        """Adds a clip; all have as many joints."""
        packed, origin, parts = pack(clip.joints)
        persons, frames, joints = packed.shape[:3]
        end = self.used + persons * frames
        if end > len(self.rows):
            # resized in place: a large block is moved by the system, not copied
            self.rows.resize((max(end, int(GROWTH * len(self.rows))), joints, 3), refcheck=False)
        self.rows[self.used : end] = packed.reshape(-1, joints, 3)
        self.used = end
        for name, value in zip(self.each, (frames, persons, clip.label, clip.shape, origin, parts), strict=True):
            self.each[name].append(value)

    def arrays(self) -> dict[str, np.ndarray]:
        """`joints` int16 (rows, V, 3), and for each clip frames, persons, labels, shapes (N, 2), origins and parts (N, 3)."""
        whole = {name: np.asarray(values, np.int64) for name, values in self.each.items() if name not in ("origins", "parts")}
        whole |= {name: np.asarray(self.each[name], np.float32) for name in ("origins", "parts")}
        return {"joints": self.rows[: self.used], **whole}

    def digest(self) -> str:
        """A hash of the clips' labels, lengths, sizes and places: of all but each joint, so that a mapped cache is not read."""
        found = hashlib.blake2b(digest_size=12)
        for name, values in self.arrays().items():
            if name != "joints":
                found.update(values.tobytes())
        return found.hexdigest()


class Clips:
    """Clips one after the other on a device, still packed: `joints` int16 (rows, V, 3), where row 0 stands for whatever is
    missing. Frame t of person m of clip i is row first[i] + m * frames[i] + t. `shapes` (N, 2) are height and width.
    """

    def __init__(self, arrays: dict[str, np.ndarray], device="cpu"):
        """`arrays` as `ClipStore.arrays` gives them."""
        import torch  # here, so that reading records needs numpy alone

        self.frames, self.persons = arrays["frames"], arrays["persons"]
        self.most = int(self.persons.max(initial=1))  # persons of a clip
        self.first = 1 + np.concatenate(([0], np.cumsum(self.frames * self.persons)[:-1]))
        self.device = torch.device(device)
        moved = {name: torch.from_numpy(arrays[name]).to(device) for name in ("joints", "shapes", "labels", "origins", "parts")}
        self.joints, self.shapes, self.labels = moved["joints"], moved["shapes"], moved["labels"]
        self.origins, self.parts = moved["origins"], moved["parts"]

    def __len__(self) -> int:
        return len(self.frames)

    def at(self, rows: np.ndarray) -> Tensor:
        """The clips' numbers `rows`, for indexing on the device."""
        from mma82cli.devices import upload

        return upload(rows, self.device)

    def digest(self, row: int) -> str:
        """A hash of all that a network sees of clip `row`."""
        first, count = self.first[row], self.frames[row] * self.persons[row]
        parts = (self.joints[first : first + count], self.origins[row], self.parts[row], self.shapes[row])
        found = hashlib.blake2b(str(self.frames[row]).encode(), digest_size=12)
        for part in parts:
            found.update(part.cpu().numpy().tobytes())
        return found.hexdigest()

    def gather(self, rows: np.ndarray, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Frames `indices` (B, T) of the clips `rows` (B,) -> joints float32 (B, M, T, V, 3), shapes (B, 2)."""
        person = np.arange(self.persons[rows].max())[None, :, None]  # (1, M, 1)
        at = (self.first[rows][:, None] + indices)[:, None] + person * self.frames[rows][:, None, None]  # (B, M, T)
        at = np.where(person < self.persons[rows][:, None, None], at, 0)
        packed, chosen = self.joints[self.at(at)].float(), self.at(rows)
        origins, parts = (values[chosen][:, None, None, None] for values in (self.origins, self.parts))
        return ((packed + origins) / parts).where(packed[..., 2:] > 0, 0.0), self.shapes[chosen]


def read_clip(record: dict, layout: Layout) -> Clip:
    """The clip of a record of joints. Joints of score 0 are missing. Raises DataError.

    Without `width` and `height` the picture is taken to end at the outermost joint.
    """
    joints = from_record(record, len(layout))
    np.clip(joints[..., 2], 0, 1, out=joints[..., 2])
    joints[joints[..., 2] == 0] = 0
    widest, highest = np.ceil(joints[..., :2].max((0, 1, 2))).clip(0, FARTHEST).astype(int) + 1
    height = records.integer(record, "height", None, 1) or max(1, int(highest))
    width = records.integer(record, "width", None, 1) or max(1, int(widest))
    return Clip(joints, (height, width))


class LayoutOfStream:
    """The layout that all records of a stream must have: the one given, as somebody or something `says`, else the first
    record's."""

    def __init__(self, given: Layout | None = None, says: str = "was asked for"):
        self.layout, self.says = given, "the records before" if given is None else says
        self.given = given is not None

    def check(self, record: dict) -> Layout:
        """The record's layout. Raises DataError where it is missing, unknown, or not the others'."""
        if "keypoints" not in record:
            raise wrong("keypoints", records.MISSING, "joints, frame by frame (`mma82 extract-skeleton` adds them)")
        name = record.get("layout", records.MISSING)
        if self.layout is None:
            if not isinstance(name, str) or not name:
                raise wrong("layout", name, "the name of a joint set, such as coco17, or --layout")
            try:
                self.layout = load_layout(name)
            except WrongUsage as error:
                raise DataError(f"field 'layout' is {records.show(name)}; {error} (--layout)") from None
        elif name != self.layout.name and not (self.given and name in (None, records.MISSING)):
            raise wrong("layout", name, f"{self.layout.name}, as {self.says}")
        return self.layout
