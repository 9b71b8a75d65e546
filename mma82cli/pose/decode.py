"""From a network's responses to joints, between the bins.

A joint's response is close to a Gaussian, whose logarithm is a parabola: its vertex is the joint. SimCC (Li et al.,
2022) answers with one row of bins an axis, heatmap networks with one map a joint (DARK, Zhang et al. 2020). Rounding to
the best bin instead costs 0.8 px RMS (SimCC) or 3 px (heatmaps) on a person of 500 px; `peak="argmax"` does so, to
equal tools that do.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

REACH = 5  # bins on either side of the best that the parabola is fitted to
BLUR = 11  # DARK's Gaussian kernel, cells


def simcc(x: np.ndarray, y: np.ndarray, ratio: float = 2.0, peak: str = "subpixel") -> tuple[np.ndarray, np.ndarray]:
    """Points (N,V,2) in input pixels and scores (N,V) from bins (N,V,width*ratio) and (N,V,height*ratio).

    The score is the mean of both axes' best bins. A joint whose score is not above 0 lies at bin -1 in `argmax` mode,
    as in rtmlib.
    """
    best = [bins.argmax(-1) for bins in (x, y)]
    tops = [np.take_along_axis(bins, i[..., None], -1)[..., 0] for bins, i in zip((x, y), best, strict=True)]
    score = (0.5 * (tops[0] + tops[1])).astype(np.float32)
    if peak == "argmax":
        points = np.stack(best, -1).astype(np.float64)
        points[score <= 0] = -1
    else:
        points = np.stack([i + parabola(bins, i) for bins, i in zip((x, y), best, strict=True)], -1)
    return points / ratio, score


def parabola(bins: np.ndarray, best: np.ndarray) -> np.ndarray:
    """How far beside bin `best` (…) of `bins` (…,B) the vertex of the log-parabola lies, within two bins
    (in noise the best bin itself is off).

    Least squares over `best` +- REACH weighted by the squared response, since noise in the response p is noise/p in
    log p (Guo 2011). Where responses are not positive the offset is 0.
    """
    d = np.arange(-REACH, REACH + 1)
    at = best[..., None] + d
    inside = (at >= 0) & (at < bins.shape[-1])
    p = np.take_along_axis(bins, np.clip(at, 0, bins.shape[-1] - 1), -1).astype(np.float64)
    top = np.take_along_axis(bins, best[..., None], -1).astype(np.float64)
    good = inside & (p > 0.05 * np.maximum(top, 1e-30))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(good, p / top, 0.0)  # 1 at the best bin
        log = np.log(np.where(good, share, 1.0))
    weight = share**2
    s = [(weight * d**k).sum(-1) for k in range(5)]
    t = [(weight * log * d**k).sum(-1) for k in range(3)]
    # normal equations of log = a + b d + c d^2, solved by Cramer's rule for b and c
    det = s[0] * (s[2] * s[4] - s[3] ** 2) - s[1] * (s[1] * s[4] - s[2] * s[3]) + s[2] * (s[1] * s[3] - s[2] ** 2)
    b = s[0] * (t[1] * s[4] - t[2] * s[3]) - t[0] * (s[1] * s[4] - s[2] * s[3]) + s[2] * (s[1] * t[2] - s[2] * t[1])
    c = s[0] * (s[2] * t[2] - s[3] * t[1]) - s[1] * (s[1] * t[2] - s[2] * t[1]) + t[0] * (s[1] * s[3] - s[2] ** 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = -b / (2 * c)
    return np.where((det > 1e-12) & (c < 0) & (good.sum(-1) >= 3), np.clip(offset, -2, 2), 0.0)


def heatmaps(maps: np.ndarray, peak: str = "subpixel", blur: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points (N,V,2) in cells (x, y) and scores (N,V) from maps (N,V,h,w).

    `subpixel` is DARK: one Newton step on the logarithm of the map (after a Gaussian of `blur` cells where the network's
    maps are noisy), taken only where the Hessian is negative definite and never longer than one cell an axis: without
    those two guards flat maps throw joints out of the picture.
    """
    n, v, h, w = maps.shape
    flat = maps.reshape(n, v, -1)
    best = flat.argmax(-1)
    score = np.take_along_axis(flat, best[..., None], -1)[..., 0].astype(np.float32)
    points = np.stack([best % w, best // w], -1).astype(np.float64)
    if peak == "argmax":
        return points, score
    if blur:
        maps = _blurred(maps, blur)
    return points + _newton(maps.reshape(-1, h, w), points.reshape(-1, 2).astype(int)).reshape(n, v, 2), score


def _blurred(maps: np.ndarray, kernel: int) -> np.ndarray:
    out = np.empty(maps.shape, np.float32)
    for i in np.ndindex(maps.shape[:2]):
        out[i] = cv2.GaussianBlur(maps[i], (kernel, kernel), 0, borderType=cv2.BORDER_CONSTANT)
    return out


def _newton(maps: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Newton's step (K,2) on log maps (K,h,w) from cells `at` (K,2); 0 at the border and where it is no maximum."""
    k, h, w = maps.shape
    x, y = at.T
    inside = (x > 0) & (x < w - 1) & (y > 0) & (y < h - 1)
    cx, cy = np.clip(x, 1, max(1, w - 2)), np.clip(y, 1, max(1, h - 2))
    rows = np.arange(k)
    top = maps.reshape(k, -1).max(-1)

    def log(dx: int, dy: int) -> np.ndarray:
        cell = maps[rows, np.minimum(cy + dy, h - 1), np.minimum(cx + dx, w - 1)]
        return np.log(np.maximum(cell.astype(np.float64), 1e-10 * np.maximum(top, 1e-30)))

    centre, left, right, up, down = log(0, 0), log(-1, 0), log(1, 0), log(0, -1), log(0, 1)
    gx, gy = (right - left) / 2, (down - up) / 2
    hxx, hyy = right - 2 * centre + left, down - 2 * centre + up
    hxy = (log(1, 1) - log(1, -1) - log(-1, 1) + log(-1, -1)) / 4
    det = hxx * hyy - hxy**2
    good = inside & (hxx < 0) & (det > 0)
    det = np.where(good, det, 1.0)
    step = np.stack([-(hyy * gx - hxy * gy) / det, -(hxx * gy - hxy * gx) / det], -1)
    return np.where(good[:, None], np.clip(step, -1, 1), 0.0)


def heatmap_input(points: np.ndarray, cells: Sequence[int], size: Sequence[int], align: str) -> np.ndarray:
    """Points in cells of a map of `cells` (width, height) as points in input pixels of an input of `size`."""
    u = 1 if align == "udp" else 0
    return points * ((np.asarray(size, float) - u) / (np.asarray(cells, float) - u))
