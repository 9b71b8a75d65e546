"""One style for all figures, readable in print: colours that people who see fewer colours can tell apart, no clutter,
and the same bytes for the same figure."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from mma82cli.records import WrongUsage
from mma82cli.replacing import Replacing

# Okabe and Ito's colours; a series with more of them starts over
COLOURS = ["#D55E00", "#009E73", "#56B4E9", "#E69F00", "#999999", "#0072B2", "#CC79A7", "#8F8300"]
VERMILION, GREEN, SKY, ORANGE, _, BLUE, PURPLE, OLIVE = COLOURS
GREY, INK = "#C8C8C8", "#222222"
MOST_PIXELS = 12_000  # a side of a PNG
# matplotlib brings the first; the others, where they are installed, have the letters that it lacks, Chinese ones above all
FONTS = ["DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "Microsoft YaHei", "SimHei"]
FONTS += ["PingFang SC", "Hiragino Sans GB", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Arial Unicode MS"]


def cycle(place: int) -> str:
    """The colour of a series by its place, the same in every figure."""
    return COLOURS[place % len(COLOURS)]


def prepare(folder: str) -> None:
    """Makes the folder for figures before any work is done for them. Raises WrongUsage where matplotlib is missing."""
    if find_spec("matplotlib") is None:
        raise WrongUsage("figures need matplotlib; pip install 'mma82[plot]'")
    os.makedirs(folder, exist_ok=True)


@contextmanager
def style(math: bool = True) -> Iterator[None]:
    """The settings in which every figure is made and saved, whatever a person's own are. Without `math` a dollar sign is
    one: for figures whose words are other people's labels."""
    import matplotlib

    ours: dict[Any, Any] = {"svg.hashsalt": "mma82", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    ours |= {"text.parse_math": math, "font.family": _installed()}
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a warning a letter; `save` has one for all
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(ours)
        yield


def save(figure, folder: str, name: str) -> list[str]:
    """Writes `name`.svg and `name`.png (300 dpi, or as much as MOST_PIXELS allow) into the folder; returns their paths.
    Warns of letters that no font has."""
    if absent := _letters_without_font(figure):
        import matplotlib

        few = " ".join(absent[:12] + ["…"] * (len(absent) > 12))
        words = f"no font here has {few}, so boxes are drawn; install one of Noto Sans CJK, say"
        warnings.warn(f"{words}, and remove {matplotlib.get_cachedir()}, where matplotlib lists the fonts", stacklevel=2)
    paths = [os.path.join(folder, name + ending) for ending in (".svg", ".png")]
    with Replacing(paths[0]) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
    with Replacing(paths[1]) as temporary:
        figure.savefig(temporary, format="png", dpi=min(300.0, MOST_PIXELS / max(figure.get_size_inches())))
    return paths


def _installed() -> list[str]:
    """Those of FONTS that this machine has."""
    from matplotlib.font_manager import fontManager

    names = {font.name for font in fontManager.ttflist}
    return [name for name in FONTS if name in names]


def _letters_without_font(figure) -> list[str]:
    """The letters of the figure's words that stand in none of the fonts of its style."""
    from matplotlib import rcParams
    from matplotlib.font_manager import findfont, get_font
    from matplotlib.text import Text

    letters = {letter for text in figure.findobj(Text) for letter in text.get_text() if not letter.isascii()}
    known = (get_font(findfont(name)).get_charmap() for name in rcParams["font.family"]) if letters else ()
    return sorted(letters.difference(*(map(chr, charmap) for charmap in known)))
