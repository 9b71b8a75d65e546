"""The field `keypoints` of a record, from arrays and back: T frames, each flat [x1,y1,s1, x2,y2,s2, …] or null."""

from __future__ import annotations

from contextlib import suppress
from itertools import chain

import numpy as np

from mma82cli.records import MISSING, DataError, show, wrong

EXPECTED = "a list of frames, each [x1,y1,s1, x2,y2,s2, …], a list of such lists (one a person) or null"
LARGEST = 3.4e38  # of a float32


def to_record(keypoints, found=None) -> list:
    """`keypoints` (T,V,3) or (M,T,V,3), (x, y) in pixels and a score, as a record holds them.

    `found` (T,) or (M,T) says in which frames a person was found (None: in all); the others become null (several
    persons: the person is left out of the frame). x and y are rounded to 0.01 px, scores to 0.001.
    Raises DataError where a joint that was found is not finite.
    """
    joints = np.asarray(keypoints, dtype=np.float64)
    found = np.ones(joints.shape[:-2], bool) if found is None else np.asarray(found, bool)
    if not np.isfinite(joints[found]).all():
        raise DataError("a joint is not finite; expected finite x, y and score")
    rounded = np.empty_like(joints)
    rounded[..., :2] = np.round(joints[..., :2], 2)
    rounded[..., 2] = np.round(joints[..., 2], 3)
    rounded += 0.0  # no -0.0 in the output
    flat = np.where(found[..., None, None], rounded, 0.0).reshape(*joints.shape[:-2], -1).tolist()
    if joints.ndim == 3:
        return [frame if here else None for frame, here in zip(flat, found.tolist(), strict=True)]
    frames = []
    for persons, here in zip(zip(*flat, strict=True), found.T.tolist(), strict=True):
        frames.append([p for p, is_here in zip(persons, here, strict=True) if is_here] or None)
    return frames


def from_record(record: dict, joints: int | None = None) -> np.ndarray:
    """`record["keypoints"]` as float32 (M,T,V,3); null frames and absent persons are zeros with score 0.

    `joints` is V, where it is known; else it is read off the first frame that is not null, and where all are null off
    the record's `layout`. Raises DataError where the field is malformed or holds another number of joints.
    """
    frames = record.get("keypoints", MISSING)
    if not isinstance(frames, list) or not frames:
        raise wrong("keypoints", frames, EXPECTED)
    persons = [_persons(frame, i) for i, frame in enumerate(frames)]
    length = next((len(person) for frame in persons for person in frame), None)
    joints = joints or (length // 3 if length else _joints_of(record.get("layout")))
    out = np.zeros((max(1, max(map(len, persons))), len(frames), joints, 3), np.float32)
    rows, where = [], []
    for i, frame in enumerate(persons):
        for j, person in enumerate(frame):
            if len(person) != 3 * joints:
                expected = f"{3 * joints} for {joints} joints (x, y, score each)"
                raise DataError(f"frame {i} of 'keypoints' holds {len(person)} numbers; expected {expected}")
            rows.append(person)
            where.append((j, i))
    if rows:
        m, t = np.array(where).T
        out[m, t] = _numbers(rows, t).reshape(-1, joints, 3)
    return out


def _persons(frame, index: int) -> list[list]:
    """The persons of one frame: a list of flat lists."""
    if frame is None or frame == []:
        return []
    if isinstance(frame, list):
        if not isinstance(frame[0], list):
            return [frame]
        if all(isinstance(person, list) and person for person in frame):
            return frame
    raise DataError(f"frame {index} of 'keypoints' is {show(frame)}; expected [x1,y1,s1, …], a list of such lists or null")


def _numbers(rows: list[list], frames: np.ndarray) -> np.ndarray:
    """The rows as float32. Raises DataError naming the first value that is not a finite number."""
    if set(map(type, chain.from_iterable(rows))) <= {int, float}:
        with np.errstate(over="ignore"), suppress(OverflowError):
            values = np.array(rows, dtype=np.float32)
            if np.isfinite(values).all():
                return values
    for row, frame in zip(rows, frames.tolist(), strict=True):
        for value in row:
            if type(value) not in (int, float) or not abs(value) < LARGEST:
                raise DataError(f"frame {frame} of 'keypoints' holds {show(value)}; expected finite numbers")
    raise DataError("'keypoints' holds numbers too large; expected pixels")


def _joints_of(layout) -> int:
    if not isinstance(layout, str):
        raise DataError("every frame of 'keypoints' is null and there is no 'layout'; expected one to know the joints by")
    from mma82cli.skeleton.layouts import load_layout

    return len(load_layout(layout))
