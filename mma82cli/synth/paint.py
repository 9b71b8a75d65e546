"""Strokes of the drawing, all to an eighth of a pixel: discs, limbs, polygons. Colours are RGB; pictures are BGR."""

from __future__ import annotations

import math

import cv2
import numpy as np

SHIFT = 3
ONE = 1 << SHIFT


def bgr(colour, light: float = 1.0) -> tuple[int, int, int]:
    """An RGB colour for cv2, lighter or darker."""
    r, g, b = colour
    return (min(255, int(b * light)), min(255, int(g * light)), min(255, int(r * light)))


def at(point) -> tuple[int, int]:
    """A point in pixels as cv2 wants it under SHIFT."""
    return int(point[0] * ONE + 0.5), int(point[1] * ONE + 0.5)


def disc(image, centre, radius: float, colour) -> None:
    """A filled circle."""
    cv2.circle(image, at(centre), max(1, int(round(radius * ONE))), colour, -1, cv2.LINE_AA, SHIFT)


def oval(image, centre, radii, angle: float, colour) -> None:
    """A filled ellipse; `angle` in degrees, clockwise in the picture."""
    axes = (max(1, int(round(radii[0] * ONE))), max(1, int(round(radii[1] * ONE))))
    cv2.ellipse(image, at(centre), axes, angle, 0, 360, colour, -1, cv2.LINE_AA, SHIFT)


def shape(image, points, colour) -> None:
    """A filled polygon."""
    corners = (np.array(points) * ONE + 0.5).astype(np.int32)
    cv2.fillPoly(image, [corners], colour, cv2.LINE_AA, SHIFT)


def outline(image, points, colour, width: float) -> None:
    """A filled polygon with round corners: its outline is drawn `width` wide."""
    corners = [np.rint(np.asarray(points, dtype=float) * ONE).astype(np.int32)]
    cv2.fillPoly(image, corners, colour, cv2.LINE_AA, SHIFT)
    cv2.polylines(image, corners, True, colour, max(1, int(round(width))), cv2.LINE_AA, SHIFT)


def stroke(image, points, colour, width: float) -> None:
    """A line through points."""
    corners = np.rint(np.asarray(points, dtype=float) * ONE).astype(np.int32)
    cv2.polylines(image, [corners], False, colour, max(1, int(round(width))), cv2.LINE_AA, SHIFT)


def limb(image, a, b, start: float, end: float, colour) -> None:
    """A tapering limb from `a` to `b` with these radii."""
    (ax, ay), (bx, by) = a, b
    x, y = bx - ax, by - ay
    length = math.hypot(x, y)
    if length > 0.5:
        x, y = x / length, y / length
        px, py, qx, qy = -y * start, x * start, -y * end, x * end
        shape(image, ((ax + px, ay + py), (bx + qx, by + qy), (bx - qx, by - qy), (ax - px, ay - py)), colour)
    disc(image, a, start, colour)
    disc(image, b, end, colour)
