"""`mma82 emotion-tree`: which micro-actions go with which emotions (Section V)."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mma82cli.commands.options import Seed, TaxonomyName, choice, command

Variant = choice("clip", "sklearn")
Unit = choice("clip", "subject")
Format = choice("jsonl", "table")

EXAMPLE = """
mma82 emotion-tree clips.jsonl
mma82 emotion-tree --bootstrap 200 --unit subject clips.jsonl | jq -c 'select(.top and .q < 0.05)'
"""

DETAILS = """
A line holds importance (Gini, of the tree of this emotion against the baseline), importance_mean (over 20 orders of the
features, as equally good splits are settled by their order), rank, top (among the --top and used by the tree); the table
of clips: clips of n with the action, and other_clips of other_n in all other emotions; ratio (Eq. 7; null where 0/0,
"inf" where x/0), ratio_smoothed (half a clip added everywhere; of 0/0 it says nothing) with its 95 % interval ci (Katz,
log), p (Fisher, exact, two-sided), q (Benjamini-Hochberg over all emotions and actions), phi, direction (more, less,
equal). Trees don't tell more from less: read importance with direction, which compares with all other emotions, not the
baseline alone. The baseline has no tree; an emotion without clips has null figures.

p, q and ci take clips as independent; several clips of a person are not. --bootstrap N adds stability, the share of
resamples in which the action is in the top, and ci_bootstrap, the percentile interval of ratio_smoothed; with --unit
subject it draws people.

--plot DIR writes as SVG and PNG: sankey (the top actions, pale where q is 0.05 or more, hatched where they are less often),
ratios (a heat map of all R) and tree-EMOTION.
"""

Baseline = Annotated[str, typer.Option("--baseline", metavar="EMOTION", help="what each emotion's tree tells it from")]
Top = Annotated[int, typer.Option("--top", metavar="K", min=1, help="how many actions count as an emotion's own")]
Tfidf = Annotated[Variant, typer.Option("--tfidf", help="clip: count/length x idf; sklearn: its default, L2 rows")]
MaxDepth = Annotated[int, typer.Option("--max-depth", metavar="N", min=0, help="depth of a tree; 0: no limit")]
MinLeaf = Annotated[int, typer.Option("--min-leaf", metavar="N", min=1, help="clips in a leaf, at least")]
Bootstrap = Annotated[int, typer.Option("--bootstrap", metavar="N", min=0, help="resamples for stability; 0: none")]
UnitOption = Annotated[Unit, typer.Option("--unit", help="what the bootstrap draws")]
Target = Annotated[str, typer.Option("--target", metavar="FIELD", help="field that holds the emotion")]
Emotions = Annotated[str, typer.Option("--emotions", metavar="NAME|FILE", help="set of emotions")]
Plot = Annotated[str, typer.Option("--plot", metavar="DIR", show_default=False, help="draw trees, Sankey and ratios here")]
FormatOption = Annotated[Format, typer.Option("--format", show_default=False, help="jsonl; on a terminal: table of the top")]


@command(example=EXAMPLE, details=DETAILS)
def run(
    pipe, baseline: Baseline = "neutral", top: Top = 5, tfidf: Tfidf = Variant.clip, max_depth: MaxDepth = 4,
    min_leaf: MinLeaf = 5, taxonomy: TaxonomyName = "mma82", emotions: Emotions = "emotion8", target: Target = "emotion",
    bootstrap: Bootstrap = 0, unit: UnitOption = Unit.clip, plot: Plot = None, format: FormatOption = None, seed: Seed = 0,
) -> None:  # fmt: skip
    """Find the micro-actions that set an emotion apart: records with `emotion` and `actions` (a list of labels, repeats
    count, may be empty) in, a line for each emotion and action out."""
    from mma82cli.emotion.study import Clips, Growth, Study, lines
    from mma82cli.taxonomy import load_taxonomy

    by_subject = unit == Unit.subject
    clips = Clips(load_taxonomy(taxonomy), load_taxonomy(emotions), target, "subject" if by_subject else None)
    held_against = _emotion(clips.emotions, baseline)
    if plot:
        _prepare(plot)
    for _ in pipe.read(clips.add):
        pass
    study = Study(held_against, top, tfidf.value, Growth(max_depth, min_leaf), bootstrap, seed)
    choices = {
        "taxonomy": clips.actions.name, "emotions": clips.emotions.name, "target": target,
        "baseline": clips.emotions.names[held_against], "tfidf": tfidf.value, "max-depth": max_depth or "none",
        "min-leaf": min_leaf, "top": top, "bootstrap": bootstrap or None, "unit": unit.value if bootstrap else None,
        "seed": seed,
    }  # fmt: skip
    made = list(lines(clips, study, lambda loop: pipe.progress(loop, unit="resample")))
    _tell(pipe, made, clips, study)
    if plot:
        from mma82cli.emotion.figures import draw

        draw(clips, study, made, plot)
    _write(pipe, made, choices, format)


def _emotion(emotions, name: str) -> int:
    from mma82cli.records import DataError, WrongUsage

    try:
        return emotions.id(name)
    except DataError:
        raise WrongUsage(f"--baseline is {name!r}; expected one of {', '.join(emotions.names)}") from None


def _prepare(folder: str) -> None:
    """Finds out before the work whether pictures can be drawn."""
    import os
    from importlib.util import find_spec

    from mma82cli.records import WrongUsage

    if find_spec("matplotlib") is None:
        raise WrongUsage("--plot needs matplotlib; pip install 'mma82[plot]'")
    os.makedirs(folder, exist_ok=True)


def _tell(pipe, made: list[dict], clips, study) -> None:
    """What a person must know about the figures."""
    sizes = {line["emotion"]: line["n"] for line in made}
    without = [name for name, n in sizes.items() if n == 0]
    if without:
        pipe.note(f"no clips of {', '.join(without)}; their figures are null")
    small = [name for name, n in sizes.items() if 0 < n < 2 * study.growth.min_leaf]
    if small:
        pipe.note(f"fewer than {2 * study.growth.min_leaf} clips of {', '.join(small)}: too few to say much")
    if study.resamples and len({unit for _, _, unit in clips.rows}) < 2 and (clips.unit or len(clips.rows) < 2):
        pipe.note(f"one {clips.unit or 'clip'} alone can't be resampled: stability and ci_bootstrap are null")


def _write(pipe, made: list[dict], choices: dict, format) -> None:
    from mma82cli import __version__

    signature = "|".join(f"{k}:{v}" for k, v in {**choices, "version": __version__}.items() if v is not None)
    if format is None:
        format = Format.table if pipe.out.path is None and sys.stdout.isatty() else Format.jsonl
    if format == Format.jsonl:
        for line in made:
            pipe.write(line | {"signature": signature})
    else:
        pipe.out.write(f"{_table(made)}{signature}\n".encode())


def _table(made: list[dict]) -> str:
    """The top actions of every emotion, best first."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = sorted((x for x in made if x["top"]), key=lambda x: x["rank"])
    titles = ["Action", "Importance", "Clips", "Others", "R", "95 % interval", "q", "Direction"]
    titles += ["Stability"] if "stability" in made[0] else []
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="")
    table.add_column("Emotion", no_wrap=True)
    for i, title in enumerate(titles):
        table.add_column(title, justify="right" if 0 < i != 7 else "left", no_wrap=True)
    for emotion in dict.fromkeys(x["emotion"] for x in made):
        for i, x in enumerate(line for line in shown if line["emotion"] == emotion):
            low, high = x["ci"]
            value = x["ratio"] if isinstance(x["ratio"], str) else f"{x['ratio']:.2f}"
            cells = [x["label"], f"{x['importance']:.3f}", f"{x['clips']}/{x['n']}", f"{x['other_clips']}/{x['other_n']}"]
            cells += [value, f"{low:.2f} .. {high:.2f}", f"{x['q']:.2g}", x["direction"]]
            cells += [f"{x['stability']:.2f}"] if x.get("stability") is not None else []
            table.add_row(emotion if i == 0 else "", *cells)
    from io import StringIO

    console = Console(file=StringIO(), width=160, color_system=None, legacy_windows=False)
    console.print(table)
    return "\n".join(line.rstrip() for line in console.file.getvalue().strip("\n").splitlines()) + "\n"
