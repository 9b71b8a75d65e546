"""The box of a face from the joints of the head."""

from __future__ import annotations

import numpy as np

from mma82cli.records import DataError
from mma82cli.skeleton.layouts import Layout

HEAD = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
SHOULDERS = ("left_shoulder", "right_shoulder")
SEEN = 0.3  # the score from which a joint counts as seen
# How long a face, hair to chin, is in distances between joints. A head turned sideways shortens all but that from nose to
# ear, and one bowed none: the longest guess is taken.
LENGTHS = {("left_ear", "right_ear"): 1.4, ("left_eye", "right_eye"): 3.2, ("nose", "left_ear"): 1.9, ("nose", "right_ear"): 1.9,
           SHOULDERS: 0.55}  # fmt: skip


def head_joints(layout: Layout) -> dict[str, int]:
    """Where the joints of head and shoulders are in a layout. Raises DataError where it has no face."""
    places = {name: layout.joints.index(name) for name in (*HEAD, *SHOULDERS) if name in layout.joints}
    if not {"nose", "left_eye", "right_eye"} <= places.keys():
        raise DataError(f"layout {layout.name} has no nose and eyes; expected joints to find the face by, such as coco17's")
    return places


def face_boxes(joints: np.ndarray, places: dict[str, int]) -> np.ndarray:
    """(T, 4) x1, y1, x2, y2 in pixels of the square around the face; NaN where fewer than two joints of the head, or not the
    nose or an eye, are seen.

    joints (T, V, 3) of one person
    """
    where = {name: joints[:, j, :2].astype(float) for name, j in places.items()}
    seen = {name: joints[:, j, 2] >= SEEN for name, j in places.items()}
    head = [name for name in HEAD if name in places]
    points = np.stack([np.where(seen[name][:, None], where[name], np.nan) for name in head])  # (5, T, 2)
    count = np.stack([seen[name] for name in head]).sum(0)
    front = np.any([seen[name] for name in head[:3]], axis=0)
    length = np.zeros(len(joints))
    for (a, b), times in LENGTHS.items():
        if a in places and b in places:
            apart = np.linalg.norm(where[a] - where[b], axis=1)
            length = np.maximum(length, np.where(seen[a] & seen[b], times * apart, 0))
    found = (count >= 2) & front & (length > 1)
    boxes = np.full((len(joints), 4), np.nan)
    middle = np.nanmean(points[:, found], axis=0)
    half = length[found, None] / 2
    boxes[found] = np.concatenate((middle - half, middle + half), 1)
    return boxes
