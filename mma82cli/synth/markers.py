"""The luminous markers that rendered people wear: a colour a joint, so that a small network can find them.

Nine light and eight dark saturated hues. The scene keeps away from all of them by more than `REACH`, each marker has
a dark rim (so that what a codec blurs mixes with grey, not with a neighbour), and light falls on the scene, not on them.
"""

from __future__ import annotations

import colorsys

import numpy as np

JOINTS = 17
RADIUS = 3.0  # pixels, in every domain and at every zoom
RIM = 1.2  # pixels of dark rim around it
RIM_COLOUR = (58, 58, 58)
REACH = 55.0  # distance in RGB (0..255) at which a colour stops counting as a marker's


def colours() -> np.ndarray:
    """The markers' colours (17, 3) RGB 0..255, joint order of coco17. Left and right joints are far apart in hue."""
    light = [colorsys.hls_to_rgb(i / 9, 0.62, 1.0) for i in range(9)]
    dark = [colorsys.hls_to_rgb((i + 0.5) / 8, 0.32, 1.0) for i in range(8)]
    # neighbours on the face get hues that lie far apart, so that their blur is nobody's colour
    order = [0, 4, 7, 2, 6, 9, 13, 3, 8, 1, 14, 11, 15, 5, 16, 12, 10]
    palette = np.array(light + dark)
    return np.rint(palette[order] * 255).astype(np.int64)
