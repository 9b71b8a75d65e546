"""Joints as pyskl and mmaction2 pickle them: {split: {name: [frame_dir]}, annotations: [{frame_dir, label, img_shape,
original_shape, total_frames, keypoint (M,T,V,2), keypoint_score (M,T,V)}]}, or the list of annotations alone.

A pickle is a program. The unpickler here knows arrays, numbers, text, lists and dicts, and calls nothing else; what is
written is put together byte by byte, so that it opens under any numpy, and leaves as the records come.
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from mma82cli.formats import base
from mma82cli.formats.pickling import EMPTY_DICT, EMPTY_LIST, MARK, PROTOCOL, SETITEMS, STOP, dumps, load
from mma82cli.records import DataError, integer, record_id, show, text, wrong
from mma82cli.skeleton.keypoints import from_record, to_record

WHAT = "a pickle of {split, annotations}, or of a list of annotations"


class Reader(base.Reader):
    """A record a clip: id, label, split, width, height, num_frames, layout, keypoints. Frames and persons whose joints are
    all zero are null. 17 joints are coco17 unless `--layout` says otherwise."""

    def __init__(self, options):
        super().__init__(options)
        self.half, self.step, self.unnamed = 0, 0.0, set()

    def entries(self, file, name: str):
        whole = load(file, WHAT)
        annotations = whole.get("annotations") if isinstance(whole, dict) else whole
        if not isinstance(annotations, list):
            raise DataError(f"found {type(whole).__name__}; expected {WHAT}")
        splits = _splits(whole.get("split") if isinstance(whole, dict) else None)
        for i, annotation in enumerate(annotations, 1):
            fields = annotation if isinstance(annotation, dict) else {}
            name = fields.get("frame_dir", fields.get("filename"))
            yield f"annotation {i}", ({"frame_dir": name if isinstance(name, str) else show(name)}, fields, splits)

    def record(self, entry) -> dict:
        _, annotation, splits = entry
        name = annotation.get("frame_dir", annotation.get("filename"))
        record: dict[str, Any] = {"id": base.good_text(text({"frame_dir": name}, "frame_dir"))}
        if annotation.get("label") is not None:
            record["label"] = base.label_name(_plain(annotation["label"]), self.options.labels)
        names = splits.get(name, [])
        known = {base.SPLITS.get(n.casefold().rpartition("_")[2]) for n in names}
        if len(names) == 1 and None not in known:
            record["split"] = known.pop()
        elif names:
            record["splits"] = [base.good_text(n) for n in names]
        keypoints = self._joints(annotation)
        size = annotation.get("img_shape") or annotation.get("original_shape")
        if size is not None:
            if not isinstance(size, (tuple, list)) or len(size) != 2 or not all(_plain(v) in range(1, 1 << 20) for v in size):
                raise wrong("img_shape", size, "(height, width) in pixels")
            record |= {"width": int(size[1]), "height": int(size[0])}
        record["num_frames"] = keypoints.shape[1]
        layout = self.options.layout or ("coco17" if keypoints.shape[2] == 17 else None)
        if layout:
            record["layout"] = layout
        else:
            self.unnamed.add(keypoints.shape[2])
        return {**record, "keypoints": _frames(keypoints)}

    def _joints(self, annotation: dict) -> np.ndarray:
        """(M,T,V,3) in float64. Raises DataError."""
        joints, scores = annotation.get("keypoint"), annotation.get("keypoint_score")
        if not isinstance(joints, np.ndarray) or joints.dtype.kind not in "fiu" or joints.ndim != 4 or 0 in joints.shape:
            found = f"{joints.dtype} {joints.shape}" if isinstance(joints, np.ndarray) else show(joints)
            raise DataError(f"'keypoint' is {found}; expected an array of numbers, persons x frames x joints x 2")
        if joints.dtype == np.float16:
            self.half += 1
            largest = np.nanmax(np.abs(joints[np.isfinite(joints)]), initial=0)
            self.step = max(self.step, float(np.spacing(np.float16(largest))))
        channels = joints.shape[-1]
        if scores is None and channels == 3 and annotation.get("img_shape") is None:
            raise DataError("'keypoint' has three coordinates and no image size: joints in space; expected joints in the image")
        if scores is None:
            scores = joints[..., 2] if channels == 3 else (joints != 0).any(-1).astype(np.float32)
        if channels not in (2, 3) or not isinstance(scores, np.ndarray) or scores.shape != joints.shape[:-1]:
            expected = f"{joints.shape[:-1]} scores and 2 coordinates"
            raise DataError(f"'keypoint' is {joints.shape} and 'keypoint_score' {np.shape(scores)}; expected {expected}")
        return np.concatenate([joints[..., :2].astype(np.float64), scores[..., None].astype(np.float64)], -1)

    def notes(self) -> list[str]:
        notes = []
        if self.half:
            lost = f"so their joints move in steps of up to {self.step:g} px, which is more than many micro-actions"
            notes.append(f"{self.half} clips hold float16 joints, {lost}; extract them again where it matters")
        if self.unnamed:
            notes.append(f"no 'layout' for {', '.join(map(str, sorted(self.unnamed)))} joints; --layout FILE names the joint set")
        return notes


def _splits(split) -> dict[str, list[str]]:
    """{clip: names of the splits it is in}."""
    if split is None:
        return {}
    good = isinstance(split, dict) and all(isinstance(m, (list, tuple)) for m in split.values())
    if not good or not all(isinstance(member, str) for members in split.values() for member in members):
        raise DataError(f"'split' is {show(split)}; expected {{name: [frame_dir, …]}}")
    splits: dict[str, list[str]] = {}
    for name, members in split.items():
        for member in members:
            splits.setdefault(member, []).append(str(name))
    return splits


def _plain(value):
    """A number of numpy as one of Python's."""
    return value.item() if isinstance(value, (np.generic, np.ndarray)) and value.size == 1 else value


def _frames(keypoints: np.ndarray) -> list:
    found = (keypoints != 0).any((-1, -2))  # (M, T)
    if len(keypoints) == 1:
        return to_record(keypoints[0], found[0])
    return to_record(keypoints, found)


class Writer(base.Writer):
    """float32 joints; clips leave as they come, their splits at the end."""

    KEPT = frozenset({"id", "label", "split", "width", "height", "num_frames", "keypoints", "layout", "splits"})

    def __init__(self, options, name=""):
        super().__init__(options, name)
        self.splits: dict[str, list[str]] = {}
        self.seen: set[str] = set()

    def begin(self) -> bytes:
        return PROTOCOL + EMPTY_DICT + MARK + dumps("annotations") + EMPTY_LIST + MARK

    def add(self, record: dict) -> bytes:
        labels, name = self.options.labels, record_id(record)
        if name in self.seen:
            raise DataError(f"{show(name)} comes a second time; expected each clip once")
        size = integer(record, "height", least=1), integer(record, "width", least=1)
        keypoints = from_record(record)
        clip: dict[str, Any] = {"frame_dir": name}
        if record.get("label") is not None:
            clip["label"] = base.label_id(record, labels)
        joints, scores = np.ascontiguousarray(keypoints[..., :2]), np.ascontiguousarray(keypoints[..., 2])
        clip |= {"img_shape": size, "original_shape": size, "total_frames": keypoints.shape[1]}
        clip |= {"keypoint": joints, "keypoint_score": scores}
        splits = record.get("splits", [record["split"]] if record.get("split") is not None else [])
        if not isinstance(splits, list) or not all(isinstance(s, str) for s in splits):
            raise wrong("splits", splits, "a list of names")
        self.seen.add(name)
        for split in splits:
            self.splits.setdefault(split, []).append(name)
        return dumps(clip)

    def end(self) -> bytes:
        return pickle.APPENDS + dumps("split") + dumps(self.splits) + SETITEMS + STOP
