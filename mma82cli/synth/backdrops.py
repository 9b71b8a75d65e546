"""Where people are: a room of white walls, a dim ward, a street with passers-by, a studio.

Everything is kept away from the markers' colours: greys and muted tones alone.
"""

from __future__ import annotations

import cv2
import numpy as np

from mma82cli.synth.domains import Domain
from mma82cli.synth.paint import bgr, disc, limb, oval, shape

MARGIN = 0.35  # of the picture's size, painted around it for cameras that move


def paint(domain: Domain, rng: np.random.Generator) -> np.ndarray:
    """A backdrop (H', W', 3) BGR, larger than the picture by MARGIN on every side."""
    width, height = (int(round(v * (1 + 2 * MARGIN))) for v in (domain.width, domain.height))
    painter = {"laboratory": _laboratory, "psychiatric": _ward, "street": _street, "television": _studio}[domain.name]
    return painter(width, height, rng)


def _gradient(width: int, height: int, top, bottom) -> np.ndarray:
    ramp = np.linspace(0, 1, height)[:, None, None]
    rows = np.array(bgr(top)) * (1 - ramp) + np.array(bgr(bottom)) * ramp
    return np.ascontiguousarray(np.broadcast_to(np.rint(rows), (height, width, 3)).astype(np.uint8))


def _tone(rng, grey: float, tint: float = 8.0) -> tuple:
    return tuple(float(v) for v in np.clip(grey + rng.normal(0, tint, 3), 25, 225))


def _laboratory(w, h, rng) -> np.ndarray:
    wall = _tone(rng, rng.uniform(168, 196), 3)
    image = _gradient(w, h, tuple(v * 1.04 for v in wall), tuple(v * 0.93 for v in wall))
    floor = int(h * rng.uniform(0.70, 0.74))
    shape(image, [(0, floor), (w, floor), (w, h), (0, h)], bgr(wall, 0.72))
    shape(image, [(0, floor - 5), (w, floor - 5), (w, floor), (0, floor)], bgr(wall, 0.88))
    if rng.random() < 0.5:  # a screen behind the chair
        x = w * rng.uniform(0.16, 0.26)
        shape(image, [(x, h * 0.1), (w - x, h * 0.1), (w - x, floor - 5), (x, floor - 5)], bgr(wall, 0.95))
    return image


def _ward(w, h, rng) -> np.ndarray:
    wall = _tone(rng, rng.uniform(132, 152), 4)
    wall = (wall[0] * 0.94, wall[1] * 1.01, wall[2] * 1.02)
    image = _gradient(w, h, wall, tuple(v * 0.82 for v in wall))
    rail = h * rng.uniform(0.58, 0.66)
    shape(image, [(0, rail), (w, rail), (w, h), (0, h)], bgr(wall, 0.80))
    x, y = w * rng.uniform(0.10, 0.62), h * rng.uniform(0.14, 0.20)
    ww, hh = w * 0.26, h * 0.30
    shape(image, [(x - 4, y - 4), (x + ww + 4, y - 4), (x + ww + 4, y + hh + 4), (x - 4, y + hh + 4)], bgr(wall, 0.62))
    shape(image, [(x, y), (x + ww, y), (x + ww, y + hh), (x, y + hh)], bgr((186, 194, 200)))
    for k in range(7):  # slats
        top = y + hh * k / 7
        shape(image, [(x, top), (x + ww, top), (x + ww, top + hh * 0.07), (x, top + hh * 0.07)], bgr((150, 156, 160)))
    return image


def _street(w, h, rng) -> np.ndarray:
    image = _gradient(w, h, (188, 196, 204), (150, 152, 154))
    x, ground = -10.0, h * rng.uniform(0.66, 0.72)
    while x < w:  # houses, with windows
        wide, top = w * rng.uniform(0.14, 0.30), h * rng.uniform(0.02, 0.30)
        wall = _tone(rng, rng.uniform(95, 165), 9)
        shape(image, [(x, top), (x + wide, top), (x + wide, ground), (x, ground)], bgr(wall))
        for column in np.arange(x + 10, x + wide - 14, 26):
            for row in np.arange(top + 12, ground - 30, 34):
                glass = _tone(rng, rng.uniform(58, 125), 5)
                shape(image, [(column, row), (column + 14, row), (column + 14, row + 20), (column, row + 20)], bgr(glass))
        x += wide
    shape(image, [(0, ground), (w, ground), (w, h), (0, h)], bgr((128, 126, 124)))
    shape(image, [(0, ground), (w, ground), (w, ground + 5), (0, ground + 5)], bgr((158, 156, 152)))
    for _ in range(rng.integers(1, 4)):  # trees, lamps, bins
        x, grey = w * rng.uniform(0, 1), rng.uniform(60, 100)
        limb(image, (x, ground + 8), (x, h * 0.26), 4, 3, bgr((grey, grey * 0.94, grey * 0.88)))
        for _ in range(6):
            disc(image, (x + rng.normal(0, 16), h * 0.26 + rng.normal(0, 14)), rng.uniform(12, 24), bgr(_tone(rng, 96, 4)))
    return image


def _studio(w, h, rng) -> np.ndarray:
    base = _tone(rng, rng.uniform(78, 108), 3)
    base = (base[0] * 0.95, base[1], base[2] * 1.12)
    image = _gradient(w, h, tuple(v * 0.8 for v in base), tuple(v * 1.15 for v in base))
    for _ in range(rng.integers(4, 8)):  # panels
        x, wide = w * rng.uniform(0, 1), w * rng.uniform(0.05, 0.16)
        lean = wide * rng.normal(0, 0.4)
        shape(image, [(x, 0), (x + wide, 0), (x + wide + lean, h), (x + lean, h)], bgr(base, rng.uniform(0.75, 1.5)))
    image = cv2.GaussianBlur(image, (0, 0), 5)
    for _ in range(rng.integers(5, 12)):  # lights out of focus
        glow = rng.uniform(140, 190)
        disc(image, (w * rng.random(), h * rng.uniform(0, 0.5)), rng.uniform(3, 9), bgr((glow, glow * 0.97, glow * 0.9)))
    return cv2.GaussianBlur(image, (0, 0), 2)


def light(domain: Domain, rng: np.random.Generator) -> np.ndarray | None:
    """How bright each pixel is (H, W, 3) uint8, 128 for as it is; None where that is all there is to it."""
    level = rng.uniform(*domain.light)
    y, x = np.mgrid[0 : domain.height, 0 : domain.width] / float(domain.height)
    if domain.name == "laboratory":
        return None
    if domain.name == "street":  # sun from a side, the shadow of something on a part of the picture
        a = rng.uniform(0, 2 * np.pi)
        field = level * (1 + 0.30 * np.tanh(1.5 * ((x - 0.67) * np.cos(a) + (y - 0.5) * np.sin(a))))
        edge = (x - rng.uniform(0.2, 1.1)) * np.cos(a + 1) + (y - rng.uniform(0.2, 0.8)) * np.sin(a + 1)
        field *= 1 - 0.34 / (1 + np.exp(-14 * edge))
    else:
        falloff = 0.22 if domain.name == "psychiatric" else 0.12
        field = level * (1 - falloff * ((x - x.mean()) ** 2 + (y - 0.45) ** 2) * 1.6)
    return np.repeat(np.clip(np.rint(field * 128), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


class Passers:
    """Other people in the street, who wear no markers: they stand, or walk by."""

    def __init__(self, domain: Domain, rng: np.random.Generator):
        count = int(rng.integers(2, 5)) if domain.name == "street" else 0
        self.people = [
            (rng.uniform(-0.1, 1.1) * domain.width, rng.choice([-1, 1]) * rng.uniform(0, 38) * (rng.random() < 0.7),
             rng.uniform(0.30, 0.50) * domain.height, _tone(rng, rng.uniform(70, 150), 10), _tone(rng, rng.uniform(50, 90), 5),
             _tone(rng, 165, 4), rng.uniform(0, 6))
            for _ in range(count)
        ]  # fmt: skip
        self.ground = 0.80 * domain.height
        self.span = domain.width * 1.5

    def draw(self, image, t: float, shift) -> None:
        """Draws them at the time `t`, with the picture moved by `shift` pixels."""
        for x, speed, tall, top, legs, skin, phase in self.people:
            x = (x + speed * t + self.span / 6) % self.span - self.span / 6 + shift[0]
            foot = self.ground + 0.06 * tall + shift[1]
            step = np.sin(speed * 0.16 * t + phase) * (0.12 * tall if speed else 0.03 * tall)
            hip, neck = (x, foot - 0.48 * tall), (x, foot - 0.82 * tall)
            for side in (-1, 1):
                limb(image, hip, (x + side * step, foot), 0.055 * tall, 0.035 * tall, bgr(legs))
            limb(image, hip, neck, 0.085 * tall, 0.095 * tall, bgr(top))
            limb(image, (x - 0.1 * tall, neck[1]), (x - 0.1 * tall - step * 0.5, foot - 0.45 * tall), 0.032 * tall, 0.026 * tall,
                 bgr(top, 0.85))  # fmt: skip
            limb(image, (x + 0.1 * tall, neck[1]), (x + 0.1 * tall + step * 0.5, foot - 0.45 * tall), 0.032 * tall, 0.026 * tall,
                 bgr(top, 0.9))  # fmt: skip
            oval(image, (x, foot - 0.92 * tall), (0.058 * tall, 0.075 * tall), 0, bgr(skin))
            oval(image, (x, foot - 0.955 * tall), (0.06 * tall, 0.045 * tall), 0, bgr(legs, 0.8))
