"""A seated body of 17 joints in metres: proportions, forward kinematics, two-bone inverse kinematics.

Axes: x to the body's left (the right of a frontal picture), y up, z out of the chest. Every function works on
whole clips: a scalar channel is (T,), a point is (T, 3). Angles are degrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR = range(5)
SHOULDERS, ELBOWS, WRISTS, HIPS, KNEES, ANKLES = (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)
SIDES = (1.0, -1.0)  # x of left and of right

# channels of a pose; a name with _l has a twin with _r
ANGLES = ("trunk_yaw", "trunk_lean", "trunk_sway", "head_yaw", "head_pitch", "head_roll")
LENGTHS = ("root_x", "root_y", "slump", "shrug_l", "shrug_r", "elbow_out_l", "elbow_out_r", "knee_out_l", "knee_out_r",
           "foot_x_l", "foot_x_r", "foot_y_l", "foot_y_r", "foot_z_l", "foot_z_r", "heel_l", "heel_r")  # fmt: skip
CHANNELS = ANGLES + LENGTHS


@dataclass(frozen=True)
class Proportions:
    """Bone lengths in metres. The head is drawn a little large, so that the five joints of the face stay apart."""

    trunk: float = 0.50
    shoulders: float = 0.39
    hips: float = 0.27
    upper_arm: float = 0.29
    forearm: float = 0.26
    hand: float = 0.13
    thigh: float = 0.43
    shin: float = 0.42
    foot: float = 0.19
    head: float = 0.155  # radius
    seat: float = 0.47


# on the face: places in head radii from the head's centre, and the way each looks
FACE = np.array([[0, -0.12, 1.0], [0.46, 0.22, 0.80], [-0.46, 0.22, 0.80], [0.98, 0.0, -0.05], [-0.98, 0.0, -0.05]])
FACE_NORMALS = np.array([[0, 0, 1.0], [0.45, 0.1, 0.88], [-0.45, 0.1, 0.88], [1, 0, 0.1], [-1, 0, 0.1]])


def rotation(yaw, pitch, roll) -> np.ndarray:
    """Rotations (T, 3, 3) that turn to the left, bow forward and tilt to the left, in degrees (T,)."""
    a, b, c = (np.radians(v) for v in (yaw, pitch, roll))
    ca, sa, cb, sb, cc, sc = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.cos(c), np.sin(c)
    out = np.empty((*np.shape(ca), 3, 3))
    out[..., 0, 0], out[..., 0, 1], out[..., 0, 2] = ca * cc - sa * sb * sc, ca * sc + sa * sb * cc, sa * cb
    out[..., 1, 0], out[..., 1, 1], out[..., 1, 2] = -cb * sc, cb * cc, -sb
    out[..., 2, 0], out[..., 2, 1], out[..., 2, 2] = -sa * cc - ca * sb * sc, -sa * sc + ca * sb * cc, ca * cb
    return out


def turn(frame: np.ndarray, local) -> np.ndarray:
    """`local` (3,) or (T, 3) of a body part's own axes, in the world's."""
    local = np.asarray(local, dtype=float)
    return frame @ local if local.ndim == 1 else np.einsum("tij,tj->ti", frame, local)


def unit(vector: np.ndarray) -> np.ndarray:
    """`vector` (…, 3) at length 1."""
    return vector / np.maximum(np.sqrt((vector * vector).sum(-1, keepdims=True)), 1e-9)


def two_bones(root, target, upper: float, lower: float, pole) -> tuple[np.ndarray, np.ndarray]:
    """Middle joint and end (T, 3) of two bones that reach from `root` toward `target`, bent toward `pole`.

    Bone lengths are exact; a target out of reach is approached as far as the bones allow.
    """
    span = target - root
    distance = np.sqrt((span * span).sum(-1, keepdims=True))
    along = span / np.maximum(distance, 1e-9)
    distance = np.clip(distance, abs(upper - lower) + 0.02, (upper + lower) * 0.998)
    foot = (upper**2 + distance**2 - lower**2) / (2 * distance)
    bend = unit(pole - (pole * along).sum(-1, keepdims=True) * along)
    middle = root + along * foot + bend * np.sqrt(np.maximum(upper**2 - foot**2, 0))
    return middle, root + along * distance


@dataclass
class Skeleton:
    """A clip's body: what motions refer to, and at the end all joints."""

    size: Proportions
    joints: np.ndarray  # (T, 17, 3)
    trunk: np.ndarray  # (T, 3, 3), x y z of the chest in columns
    head: np.ndarray  # (T, 3, 3)
    head_centre: np.ndarray  # (T, 3)
    neck: np.ndarray  # (T, 3)
    toes: np.ndarray  # (T, 2, 3)
    fingertips: np.ndarray  # (T, 2, 3)
    hand_lines: np.ndarray  # (T, 2, 3), where the hands point, unit length


def core(size: Proportions, pose: dict) -> Skeleton:
    """Trunk, head and legs from the channels of a pose; the arms hang until `arms` places them."""
    frames = len(pose["trunk_yaw"])
    joints = np.zeros((frames, 17, 3))
    trunk = rotation(pose["trunk_yaw"], pose["trunk_lean"], pose["trunk_sway"])
    hips = np.stack([pose["root_x"], size.seat + 0.09 + pose["root_y"], np.zeros(frames)], 1)
    slump = pose["slump"]
    spine = np.stack([np.zeros(frames), size.trunk * (1 - 0.13 * slump), 0.07 * slump], 1)
    neck = hips + turn(trunk, spine)
    head = trunk @ rotation(pose["head_yaw"], pose["head_pitch"] + 10 * slump, pose["head_roll"])
    centre = neck + turn(trunk, [0, 0.04, 0.015]) + turn(head, [0, size.head * 1.02, 0.02])
    joints[:, :5] = centre[:, None] + (FACE * size.head) @ head.transpose(0, 2, 1)
    toes = np.zeros((frames, 2, 3))
    for i, (side, s) in enumerate(zip("lr", SIDES, strict=True)):
        joints[:, SHOULDERS[i]] = neck + turn(trunk, np.stack(
            [np.full(frames, s * size.shoulders / 2), pose[f"shrug_{side}"] - 0.05, np.zeros(frames)], 1))  # fmt: skip
        hip = hips + turn(trunk, [s * size.hips / 2, 0, 0]) * [1, 0, 1]
        out, heel = pose[f"knee_out_{side}"], pose[f"heel_{side}"]
        ankle = np.stack([
            s * (size.hips / 2 + 0.02 + 0.55 * out + pose[f"foot_x_{side}"]),
            0.08 + heel + pose[f"foot_y_{side}"],
            size.thigh * 0.93 + 0.4 * heel + pose[f"foot_z_{side}"],
        ], 1)  # fmt: skip
        pole = np.stack([s * (0.05 + 1.6 * out), np.full(frames, 0.75), np.full(frames, 0.75)], 1)
        joints[:, HIPS[i]] = hip
        joints[:, KNEES[i]], joints[:, ANKLES[i]] = two_bones(hip, ankle, size.thigh, size.shin, pole)
        shin = joints[:, ANKLES[i]] - joints[:, KNEES[i]]
        lift = np.clip(-shin[:, 1] / size.shin, 0.0, 1.0)  # a raised shin points the foot along its way
        aim = np.stack([np.full(frames, s * 0.25), -0.35 - 2.2 * heel, np.ones(frames) * (0.6 + 0.6 * lift)], 1)
        toes[:, i] = joints[:, ANKLES[i]] + unit(aim) * size.foot
    hand_lines = np.zeros((frames, 2, 3))
    return Skeleton(size, joints, trunk, head, centre, neck, toes, np.zeros((frames, 2, 3)), hand_lines)


def arm(skeleton: Skeleton, i: int, wrist: np.ndarray, hand_line: np.ndarray, out: np.ndarray) -> None:
    """Sets elbow, wrist and fingertip of arm `i` (0 left): `wrist` (T, 3) is where it goes, `hand_line` (T, 3) where
    the hand points (zero: along the forearm), `out` (T,) lifts the elbow away from the body."""
    size, joints, s = skeleton.size, skeleton.joints, SIDES[i]
    pole = np.stack([s * (0.45 + 2.0 * out), -0.9 + 0.9 * out, np.full(len(out), -0.35)], 1)
    shoulder = joints[:, SHOULDERS[i]]
    elbow, end = two_bones(shoulder, wrist, size.upper_arm, size.forearm, turn(skeleton.trunk, pole))
    joints[:, ELBOWS[i]], joints[:, WRISTS[i]] = elbow, end
    skeleton.hand_lines[:, i] = line = unit(hand_line + 0.25 * unit(end - elbow))
    skeleton.fingertips[:, i] = end + line * size.hand
