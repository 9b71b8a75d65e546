"""What a pose estimator makes of a body that a camera sees: jitter, lost joints, scores."""

from __future__ import annotations

import numpy as np

from mma82cli.synth.body import Skeleton
from mma82cli.synth.domains import View, visible


def observe(skeleton: Skeleton, camera: View, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Joints (T, 17, 3), x and y in pixels and a score 0..1, and the frames (T,) in which the person is found.

    A joint in view jitters by a fraction of a pixel, slowly and fast alike; one that is hidden is guessed some pixels off,
    one outside the frame is put on its border, both with low scores; a few are lost and jump.
    """
    domain = camera.domain
    pixels, depth = camera.project(skeleton.joints)
    frames = len(pixels)
    seen = visible(skeleton, camera, pixels, depth)
    lost = rng.random((frames, 17)) < domain.drops
    hard = np.array([1, 1, 1, 1, 1, 1, 1, 1.2, 1.2, 1.4, 1.4, 1.3, 1.3, 1.1, 1.1, 1.2, 1.2])
    fast = rng.standard_normal((frames, 17, 2))
    slow = rng.standard_normal((frames // 12 + 2, 17, 2))
    place = np.arange(frames) / 12
    left = place.astype(int)
    part = (place - left)[:, None, None]
    slow = slow[left] * (1 - part) + slow[left + 1] * part
    size = np.where(lost, 9.0, np.where(seen, domain.noise, 2.5 + 3 * domain.noise)) * hard
    out = np.empty((frames, 17, 3))
    out[..., :2] = pixels + (0.75 * fast + 0.75 * slow) * size[..., None]
    inside = (pixels >= 0).all(-1) & (pixels[..., 0] < domain.width) & (pixels[..., 1] < domain.height)
    np.clip(out[..., 0], 0, domain.width - 1, out=out[..., 0])
    np.clip(out[..., 1], 0, domain.height - 1, out=out[..., 1])
    score = np.where(seen, 0.93 - 0.04 * domain.noise, np.where(inside, 0.38, 0.08)) - 0.35 * lost
    out[..., 2] = np.clip(score + rng.normal(0, 0.035, (frames, 17)), 0.01, 0.99)
    found = rng.random(frames) >= domain.drops / 12
    return out, found
