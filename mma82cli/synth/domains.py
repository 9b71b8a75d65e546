"""The four domains as the paper describes them: how the camera stands, frames and moves, and how people are there.

laboratory   frontal, whole body, still            psychiatric  seated, cropped, dim
street       oblique, shaking camera, clutter      television   close, cut, zoomed
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mma82cli.synth import body


@dataclass(frozen=True)
class Domain:
    """What a domain's pictures have in common. Ranges are (low, high); `bottom` is the height above the floor (metres)
    of the picture's lower edge, `top` that of its upper edge; `legs_bottom` where legs are what matters."""

    name: str
    width: int
    height: int
    fps: int
    yaw: tuple[float, float]  # degrees, to either side
    elevation: tuple[float, float]
    bottom: tuple[float, float]
    legs_bottom: tuple[float, float]
    top: tuple[float, float]
    shake: tuple[float, float]  # pixels
    zoom: float  # of the logarithm of the scale, over a clip
    cuts: float  # a second
    habits: float  # how far people are from the average
    tempo: float
    amplitude: float
    noise: float  # of an estimator's joints, pixels
    drops: float  # joints lost, share
    light: tuple[float, float]


DOMAINS = {
    d.name: d
    for d in (
        Domain("laboratory", 384, 288, 15, (0, 7), (1, 7), (-0.16, -0.08), (-0.16, -0.08), (1.58, 1.68), (0, 0), 0, 0,
               1.0, 1.0, 1.0, 0.45, 0.004, (0.96, 1.04)),
        Domain("psychiatric", 352, 288, 15, (4, 22), (2, 13), (0.26, 0.52), (0.02, 0.30), (1.52, 1.64), (0, 0.3), 0, 0,
               1.2, 0.86, 0.80, 0.75, 0.020, (0.50, 0.66)),
        Domain("street", 384, 288, 20, (18, 48), (-5, 12), (-0.30, -0.12), (-0.30, -0.12), (1.62, 1.85), (1.5, 4.5), 0.03, 0,
               1.3, 1.06, 1.10, 0.90, 0.030, (0.85, 1.12)),
        Domain("television", 384, 216, 25, (2, 32), (-2, 6), (0.42, 0.70), (-0.15, 0.10), (1.48, 1.60), (0, 0.6), 0.13, 0.06,
               1.3, 1.0, 1.05, 0.60, 0.012, (0.95, 1.08)),
    )
}  # fmt: skip


@dataclass
class View:
    """A camera over a clip: `project` brings metres to pixels. Arrays are per frame (T,)."""

    domain: Domain
    yaw: np.ndarray  # degrees
    elevation: np.ndarray
    scale: np.ndarray  # pixels a metre at the body
    shift: np.ndarray  # (T, 2), pixels, where the body's middle lies
    middle: np.ndarray  # (T,), height of the picture's middle above the floor, metres
    shot: np.ndarray  # (T,) int, grows by one at each cut
    distance: float = 4.0

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`points` (T, …, 3) as pixels (T, …, 2), and how far (T, …) each is toward the camera, in metres."""
        extra = (1,) * (points.ndim - 2)

        def each(values):
            return values.reshape(-1, *extra)

        a, b = np.radians(each(self.yaw)), np.radians(each(self.elevation))
        x, y, z = points[..., 0], points[..., 1] - each(self.middle), points[..., 2] - 0.15
        x, z = x * np.cos(a) + z * np.sin(a), z * np.cos(a) - x * np.sin(a)
        y, z = y * np.cos(b) - z * np.sin(b), z * np.cos(b) + y * np.sin(b)
        grow = each(self.scale) * (self.distance / (self.distance - z))
        out = np.empty((*points.shape[:-1], 2))
        out[..., 0] = each(self.shift[:, 0]) + grow * x
        out[..., 1] = each(self.shift[:, 1]) - grow * y
        return out, z


def view(domain: Domain, t: np.ndarray, shots: list[tuple[float, bool]], rng: np.random.Generator) -> View:
    """A camera of `domain` over the times `t` (T,) in seconds.

    `shots` are the time each begins at, and whether legs matter in it, so that the frame takes them in.
    """
    shot = np.zeros(len(t), dtype=int)
    for time, _ in shots[1:]:
        shot += t >= time
    per_shot = []
    side = 1.0 if rng.random() < 0.5 else -1.0
    for _, legs in shots:
        bottom = rng.uniform(*(domain.legs_bottom if legs else domain.bottom))
        top = rng.uniform(*domain.top)
        side = -side if rng.random() < 0.25 else side
        per_shot.append((side * rng.uniform(*domain.yaw), rng.uniform(*domain.elevation), domain.height / (top - bottom),
                         (top + bottom) / 2, rng.normal(0, 0.03) * domain.width, rng.normal(0, domain.zoom)))  # fmt: skip
    yaw, elevation, scale, middle, aside, zoom = np.array(per_shot)[shot].T
    progress = (t - t[0]) / max(t[-1] - t[0], 2.5)
    scale = scale * np.exp(zoom * (progress - 0.5))
    # what the camera's yaw does to a seated body's knees, it takes back by looking between trunk and knees
    sideways = -0.10 * np.sin(np.radians(yaw)) * scale
    shift = np.stack([domain.width / 2 + aside + sideways, np.full(len(t), domain.height / 2)], 1)
    shake = rng.uniform(*domain.shake)
    hertz, phase = rng.uniform(0.4, 4.0, (2, 5)), rng.uniform(0, 2 * np.pi, (2, 5))
    shift += shake * (np.sin(2 * np.pi * t[:, None, None] * hertz + phase) / np.sqrt(hertz)).sum(-1) * 0.7
    return View(domain, yaw, elevation, scale, shift, middle, shot)


def visible(skeleton: body.Skeleton, camera: View, pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Which joints (T, 17) the camera sees: inside the frame, and behind neither head, trunk nor a hand."""
    domain = camera.domain
    seen = (pixels >= 3).all(-1) & (pixels[..., 0] <= domain.width - 4) & (pixels[..., 1] <= domain.height - 4)
    a = np.radians(camera.yaw)
    toward = np.stack([-np.sin(a), np.sin(np.radians(camera.elevation)), np.cos(a)], 1)  # to the camera, (T, 3)
    face = np.einsum("vj,tij,ti->tv", body.FACE_NORMALS, skeleton.head, toward)
    seen[:, :5] &= face > np.array([-0.1, -0.05, -0.05, -0.22, -0.22])
    for i in (0, 1):
        for joint in (body.WRISTS[i], body.ELBOWS[i]):
            local = np.einsum("tij,ti->tj", skeleton.trunk, skeleton.joints[:, joint] - skeleton.neck)
            within = (np.abs(local[:, 0]) < 0.36 * skeleton.size.shoulders) & (local[:, 1] < 0) & (local[:, 1] > -0.5)
            seen[:, joint] &= ~(within & (local[:, 2] < -0.05))
        hand = 0.55 * skeleton.fingertips[:, i] + 0.45 * skeleton.joints[:, body.WRISTS[i]]
        spot, near = camera.project(hand[:, None])
        gap = np.sqrt(((pixels[:, :5] - spot) ** 2).sum(-1)) / camera.scale[:, None]
        seen[:, :5] &= ~((gap < 0.055) & (near > depth[:, :5]))
    return seen
