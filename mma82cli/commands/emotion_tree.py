"""`mma82 emotion-tree`: which micro-actions go with which emotions (Section V)."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from mma82cli.commands.options import Seed, TaxonomyName, command
from mma82cli.commands.report import FormatOption, write_report
from mma82cli.records import DataError, WrongUsage

Variant = Literal["clip", "sklearn"]
Unit = Literal["clip", "subject"]

EXAMPLE = """
mma82 emotion-tree --unit subject clips.jsonl > associations.jsonl
jq -c 'select(.q < 0.05 and .direction == "more")' associations.jsonl
mma82 plot sankey --out figures associations.jsonl
"""

DETAILS = """
\b
How often, of all clips of the emotion and of all other clips:
  clips, n          the emotion's clips with the action; all the emotion's
  other_clips/_n    the same of all other emotions together
  subjects          people who do it in the emotion (--unit subject)
  ratio             Eq. 7: clips/n by other_clips/other_n. 2: twice as
                    likely. null: 0/0, nobody does it. "inf": x/0
  direction         more, less or equal: on which side of 1 the ratio is
  ratio_smoothed    the ratio with half a clip added everywhere; of an
                    action that nobody or hardly anybody does it says
                    nothing
  phi               effect size, -1 to 1: 0.1 is small, 0.3 medium

\b
How sure that is:
  ci                95 % interval of ratio_smoothed (Katz)
  p                 chance of counts as uneven as these, or more so, if action
                    and emotion had nothing to do with each other (Fisher)
  q                 p corrected for all emotions and actions at once
                    (Benjamini-Hochberg): of the lines with q < 0.05 no more
                    than one in twenty is expected to be chance
  ci_bootstrap      the interval by resampling

\b
What tells the emotion from the baseline, by a decision tree (CART on TF-IDF):
  importance        the action's share of what the tree gains (Gini), sum 1
  importance_mean   its mean over 20 orders of the actions: equally good
                    splits are settled by order
  rank, top         place among the actions; among the --top, and used
  stability         share of resamples in which it is among the --top
  importance_held_out  points of accuracy lost on people the tree has not seen
                    when the action is shuffled among their clips
  accuracy_held_out the tree's balanced accuracy on such people; chance: 0.5
  lma               Laban elements that the action has, by our reading

Clips of one person are alike, so that many clips of few people look like more evidence than they are. With --unit subject
people are what is independent: ci and p take Rao and Scott's design effect and Student's t over people, and stability
resamples people; an emotion of one person alone has null there. Held out are people in any case, where every clip names
its subject, in 5 parts.

What may be concluded: q < 0.05 with direction more says that in people like these the action comes more often with this
emotion than with the others. The ratio and its ci say how much more often; phi, how far the two go together.

What may not: that the action means the emotion (a likely sign of a rare state is mostly seen without it), or is caused by
it; that q of 0.05 or more shows there is no link (a wide ci says that nothing is known); that a more important action is
a more frequent one (trees split on what is absent, too: read direction, which is against all other emotions, not the
baseline alone); or anything from the importances of a tree whose accuracy_held_out is near 0.5, or of an action whose
stability is low: other people would have given another list. And all of it is about the emotion that annotators named.

--plot DIR draws as SVG and PNG: sankey (the top actions; pale where q is 0.05 or more, hatched where they are less often),
ratios (a map of all R) and tree-EMOTION. `mma82 plot` draws the first two from the output, too.
"""

Baseline = Annotated[str, typer.Option("--baseline", metavar="EMOTION", help="what each emotion's tree tells it from")]
Top = Annotated[int, typer.Option("--top", metavar="K", min=1, help="how many actions count as an emotion's own")]
Tfidf = Annotated[Variant, typer.Option("--tfidf", help="clip: count/length x idf; sklearn: its default, L2 rows")]
MaxDepth = Annotated[int, typer.Option("--max-depth", metavar="N", min=0, help="depth of a tree; 0: no limit")]
MinLeaf = Annotated[int, typer.Option("--min-leaf", metavar="N", min=1, help="clips in a leaf, at least")]
Bootstrap = Annotated[int, typer.Option("--bootstrap", metavar="N", min=0, help="resamples for stability; 0: none")]
UnitOption = Annotated[Unit, typer.Option("--unit", help="what is taken as independent in ci, p, q and resamples")]
Target = Annotated[str, typer.Option("--target", metavar="FIELD", help="field that holds the emotion")]
Emotions = Annotated[str, typer.Option("--emotions", metavar="NAME|FILE", help="set of emotions")]
Plot = Annotated[str, typer.Option("--plot", metavar="DIR", show_default=False, help="draw trees, Sankey and ratios here")]


@command(
    example=EXAMPLE, details=DETAILS,
    takes="emotion actions segments subject",
    writes="emotion label importance importance_mean rank top clips n other_clips other_n ratio ratio_smoothed "
    "ci p q phi direction",
)
def run(
    pipe, baseline: Baseline = "neutral", top: Top = 5, tfidf: Tfidf = "clip", max_depth: MaxDepth = 4,
    min_leaf: MinLeaf = 5, taxonomy: TaxonomyName = "mma82", emotions: Emotions = "emotion8", target: Target = "emotion",
    bootstrap: Bootstrap = 100, unit: UnitOption = "clip", plot: Plot = None, format: FormatOption = None, seed: Seed = 0,
) -> None:  # fmt: skip
    """Find the micro-actions that set an emotion apart: records with `emotion` and `actions` (a list of labels, repeats
    count, may be empty) in, a line for each emotion and action out (--format table: the top ones)."""
    from mma82cli.emotion.clips import Clips
    from mma82cli.emotion.study import Growth, Study, lines
    from mma82cli.emotion.tables import tree_tables
    from mma82cli.plots.style import prepare
    from mma82cli.taxonomy import load_taxonomy

    if format == "plain":
        raise WrongUsage("--format plain is of single values; a line here holds many")
    clips = Clips(load_taxonomy(taxonomy), load_taxonomy(emotions), target, unit == "subject")
    held_against = emotion_id(clips.emotions, baseline)
    if plot:
        prepare(plot)
    for _ in pipe.read(clips.add):
        pass
    study = Study(held_against, top, tfidf, Growth(max_depth, min_leaf), bootstrap, seed)
    choices = {
        "taxonomy": clips.actions.name, "emotions": clips.emotions.name, "target": target,
        "baseline": clips.emotions.names[held_against], "tfidf": tfidf, "max-depth": max_depth or "none",
        "min-leaf": min_leaf, "top": top, "unit": unit, "bootstrap": bootstrap or "none", "held-out": held_out_unit(clips),
        "seed": seed,
    }  # fmt: skip
    made = list(lines(clips, study, lambda loop: pipe.progress(loop, unit="resample")))
    _tell(pipe, made, clips, study)
    if plot:
        _draw(clips, study, made, plot)
    write_report(pipe, made, choices, format, tree_tables)


def emotion_id(emotions, name: str) -> int:
    """The id of the baseline. Raises WrongUsage."""
    try:
        return emotions.id(name)
    except DataError:
        raise WrongUsage(f"--baseline is {name!r}; expected one of {', '.join(emotions.names)}") from None


def held_out_unit(clips) -> str:
    """What is held out as a whole, for the signature."""
    return "subject" if clips.know_people else "clip"


def tell_sizes(pipe, clips, least: int) -> None:
    """Says which emotions have no clips, and which fewer than `least`."""
    named = list(zip(clips.emotions.names, clips.sizes().tolist(), strict=True))
    without = [name for name, n in named if n == 0]
    if without:
        pipe.note(f"no clips of {', '.join(without)}; their figures are null")
    small = [name for name, n in named if 0 < n < least]
    if small:
        pipe.note(f"fewer than {least} clips of {', '.join(small)}: too few to say much")


def _tell(pipe, made: list[dict], clips, study) -> None:
    """What a person must know about the figures."""
    tell_sizes(pipe, clips, 2 * study.growth.min_leaf)
    if not any(line["top"] for line in made):
        pipe.note(f"no tree has a split: no action tells an emotion from {clips.emotions.names[study.baseline]}")
    unit = "subject" if clips.by_subject else "clip"
    if study.resamples and all(line["ci_bootstrap"] is None for line in made):
        pipe.note(f"one {unit} alone can't be resampled: stability and ci_bootstrap are null")
    alone = [x["emotion"] for x in made[:: len(clips.actions)] if x["n"] and x["other_n"] and x["p"] is None]
    if alone:
        pipe.note(f"{', '.join(alone)}: the clips, or all others, are of one subject; ci, p and q are null")
    if all(line["accuracy_held_out"] is None for line in made):
        pipe.note(f"one {held_out_unit(clips)} alone can't be held out: accuracy_held_out and importance_held_out are null")


def _draw(clips, study, made: list[dict], folder: str) -> None:
    from mma82cli.emotion.study import grow
    from mma82cli.plots import ratios, sankey, trees

    sankey.draw(made, folder)
    ratios.draw(made, folder)
    names = clips.emotions.names
    trees.draw(grow(clips, study), clips.actions.names, names, names[study.baseline], study.top, folder)
