"""The figures of the emotion study: nothing is cut off, and no words lie on others."""

from itertools import combinations

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from mma82cli.emotion import trees
from mma82cli.plots import ratios, sankey
from mma82cli.plots import trees as pictures
from mma82cli.taxonomy import load_taxonomy

ACTIONS, EMOTIONS = load_taxonomy().names, load_taxonomy("emotion8").names


def words_of(figure):
    """The texts of a figure and their boxes, in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = [t for t in figure.axes[0].texts if t.get_text()]
    return [(t.get_text(), t.get_window_extent(renderer)) for t in texts], figure.bbox


def assert_legible(figure):
    words, paper = words_of(figure)
    for text, box in words:
        assert paper.x0 <= box.x0 and box.x1 <= paper.x1 and paper.y0 <= box.y0 and box.y1 <= paper.y1, text
    for (text, box), (other, its) in combinations(words, 2):
        wide, high = min(box.x1, its.x1) - max(box.x0, its.x0), min(box.y1, its.y1) - max(box.y0, its.y0)
        assert wide <= 0 or high <= 1, (text, other)  # boxes include a hair of leading
    return [text for text, _ in words]


def links(rng, per_emotion, choose):
    rows = []
    for emotion in EMOTIONS:
        shares = rng.dirichlet(np.full(per_emotion, 0.4))
        for label, share in zip(choose(per_emotion), shares, strict=True):
            sign = ["more", "less"][int(rng.integers(2))]
            row = {"emotion": emotion, "label": label, "importance": share, "top": True, "direction": sign, "q": rng.random()}
            rows.append(row)
    return rows


@pytest.mark.parametrize("seed", range(3))
def test_labels_of_the_sankey_never_overlap(seed):
    rng = np.random.default_rng(seed)
    longest = sorted(ACTIONS, key=len)[-20:]
    for rows in (
        links(rng, 5, lambda n: rng.choice(ACTIONS, n, replace=False).tolist()),
        links(rng, 9, lambda n: rng.choice(longest, n, replace=False).tolist()),
        links(rng, 1, lambda n: [longest[-1]]),
        [],
    ):
        shown = assert_legible(sankey.figure(rows))
        assert {x["label"] for x in rows} | {x["emotion"] for x in rows} <= set(shown)


@pytest.mark.parametrize("depth", [1, 4, 0])
def test_words_of_a_tree_never_overlap(depth):
    rng = np.random.default_rng(depth)
    truth = rng.random(160) < 0.5
    features = rng.poisson(0.15 + 0.2 * truth[:, None] * (rng.random(82) < 0.3), (160, 82)).astype(float)
    grown = trees.tree(features, truth, trees.Growth(depth, 3))
    best = trees.selected(grown.feature_importances_, 5)
    figure = pictures.figure(grown.tree_, sorted(ACTIONS, key=len), best, "surprise", "neutral", "#D55E00")
    shown = assert_legible(figure)
    assert shown.count("yes") == shown.count("no") == grown.get_n_leaves() - 1
    bold = {t.get_text().replace("\n", " ") for t in figure.axes[0].texts if t.get_weight() == "bold"}
    assert len(bold) == best.sum()


def test_a_tree_without_a_question_is_its_clips():
    grown = trees.tree(np.zeros((6, 82)), np.arange(6) < 2)
    shown = assert_legible(pictures.figure(grown.tree_, ACTIONS, np.zeros(82, bool), "sad", "neutral", "#D55E00"))
    assert shown[-2:] == ["4", "2"]


def test_the_heat_map_shows_every_ratio():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    pairs = [{"emotion": emotion, "label": label} for emotion in EMOTIONS for label in ACTIONS]
    rows = [{**x, "ratio": "inf", "ratio_smoothed": 2.0 ** (i % 9 - 4), "q": i % 9 / 9} for i, x in enumerate(pairs)]
    rows = [x | {"direction": "more" if x["ratio_smoothed"] > 1 else "less"} for x in rows]
    rows[-1] |= {"ratio": None, "ratio_smoothed": 7.0, "q": 1.0}
    figure = ratios.figure(rows)
    renderer = FigureCanvasAgg(figure).get_renderer()
    axes = figure.axes[0]
    cells = axes.images[0].get_array()
    assert cells.shape == (82, 8) and cells[1, 0] == -3 and np.ma.getmaskarray(cells).sum() == 1
    assert len(axes.lines[0].get_xdata()) == sum(x["q"] == 0 for x in rows)
    boxes = [t.get_window_extent(renderer) for t in axes.get_yticklabels()]
    assert all(box.x0 >= 0 for box in boxes) and all(a.y0 >= b.y1 - 1 for a, b in zip(boxes, boxes[1:], strict=False))
    assert all(t.get_window_extent(renderer).y1 <= figure.bbox.y1 for t in axes.get_xticklabels())
    assert all(t.get_window_extent(renderer).x1 <= figure.bbox.x1 for t in axes.get_xticklabels())
