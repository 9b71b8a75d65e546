"""Words below the frames of a video stay inside them."""

import numpy as np
import pytest

from mma82cli.plots.captions import LARGE, SMALL, UNICODE, captioned

WORDS = "predicted: Scratching or touching philtrum 0.91, Rubbing lip 0.05, Scratching or touching chin 0.02"


def ink(width: int, text: str) -> np.ndarray:
    """Where the caption of a black frame is drawn on."""
    return (captioned(np.zeros((4, width, 3), np.uint8), [text])[4:].max(2) > 60).nonzero()[1]


@pytest.mark.parametrize("width", [24, 64, 240, 320, 640, 1280])
def test_no_letter_is_cut(width):
    assert ink(width, WORDS).max(initial=0) < width - 7


def test_few_words_are_large_and_many_small_before_any_is_left_out():
    from mma82cli.plots.captions import _fitted

    assert _fitted("Waving", 304) == ("Waving", LARGE)
    shown = [_fitted(WORDS, room) for room in range(200, 1000, 25)]
    assert any(text == WORDS and SMALL < size < LARGE for text, size in shown)
    text, size = _fitted(WORDS, 304)
    assert size == SMALL and text.endswith("…" if UNICODE else "...") and WORDS.startswith(text.rstrip("….")) and len(text) > 20
