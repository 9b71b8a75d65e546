"""`mma82 emotion-mlp`: what the actions that set emotions apart are worth to a network (Algorithm 1, Table VIII)."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from mma82cli.commands.emotion_tree import (
    Baseline,
    Emotions,
    MaxDepth,
    MinLeaf,
    Target,
    Tfidf,
    Top,
    emotion_id,
    held_out_unit,
    tell_sizes,
)  # fmt: skip
from mma82cli.commands.options import Seed, TaxonomyName, command
from mma82cli.commands.report import FormatOption, write_report
from mma82cli.records import SPLITS, DataError, wrong

Classes = Literal["7", "8"]

EXAMPLE = """
mma82 emotion-mlp clips.jsonl | mma82 tabulate --rows actions,run --columns metric --as here --beside paper=table8
mma82 emotion-mlp --repeats 1 --predictions preds.jsonl clips.jsonl
mma82 score --taxonomy emotion8 --target emotion --by actions preds.jsonl
"""

DETAILS = """
A network of one hidden layer (ReLU, dropout, Adam, the epoch with the best macro-F1 on a validation part) is given the
TF-IDF of a clip's actions: all of them; all but the --top actions of each emotion's tree; or those alone. A masked action
is as if nobody had ever done it: lengths, tf and idf are those of what is left. A clip that is left without any is kept.

\b
  value             mean over the repeats; n: clips that each repeat tests
  sd                its standard deviation over repeats: what seeds and parts do
  ci                95 % interval by resampling people (clips, where not every
                    one names its subject): what other people would do. As wide
                    as one repeat's; repeats make a figure steadier, not surer
  used              actions that a network was given, on average
  permuted          the same figure after the emotions were dealt out anew among
                    the clips; far above chance, something would leak
  p                 share of permutations that do as well as the true emotions
  against           the condition set against those before: delta and its ci;
                    of top1 also clips a repeat that this condition alone gets
                    right (gained) or wrong (lost), and McNemar's exact p (of
                    several repeats: twice the median, which is a p again)

Each repeat cuts people (clips, where they name no subject) into --folds parts. What has been fitted on the other parts is
tested on each; of these one is left out to choose the epoch by. Trees, which select the actions, idf and network are
fitted on the training part alone, so that nothing that is tested has been seen. --by-split takes the records' own train,
val and test as the parts of every repeat, as the paper does: then only the seed differs between repeats, sd says less,
and ci is that of a small test part.

--predictions FILE writes the probabilities of each clip, condition and repeat (run) for `score` and `fuse`; with
--by-split those of val and test, else of every clip from the networks that have not seen it.
"""

ClassesOption = Annotated[Classes, typer.Option("--classes", help="7: without the baseline, as the paper; 8: with it")]
Repeats = Annotated[int, typer.Option("--repeats", metavar="N", min=1, help="how often all clips are tested")]
Folds = Annotated[int, typer.Option("--folds", metavar="K", min=3, help="parts that people are cut into")]
BySplit = Annotated[bool, typer.Option("--by-split", help="the records' train, val and test in place of folds")]
Permutations = Annotated[int, typer.Option("--permutations", metavar="N", min=0, help="repeats on permuted emotions")]
Bootstrap = Annotated[int, typer.Option("--bootstrap", metavar="N", min=0, help="resamples for ci; 0: none")]
Hidden = Annotated[int, typer.Option("--hidden", metavar="N", min=1, help="units of the hidden layer")]
Dropout = Annotated[float, typer.Option("--dropout", metavar="X", min=0, max=0.99, help="share of them that is dropped")]
LearningRate = Annotated[float, typer.Option("--lr", metavar="X", min=0, help="learning rate of Adam")]
Decay = Annotated[float, typer.Option("--decay", metavar="X", min=0, help="weight decay")]
Epochs = Annotated[int, typer.Option("--epochs", metavar="N", min=1, help="epochs to choose from")]
PredictionsFile = Annotated[str, typer.Option("--predictions", metavar="FILE", show_default=False, help="scores, for `score`")]


@command(
    example=EXAMPLE, details=DETAILS,
    takes="id emotion actions segments subject split",
    writes="actions metric level value sd ci n runs used permuted p against signature",
)
def run(
    pipe, classes: ClassesOption = "7", baseline: Baseline = "neutral", top: Top = 5, tfidf: Tfidf = "clip",
    repeats: Repeats = 10, folds: Folds = 5, by_split: BySplit = False, permutations: Permutations = 20,
    bootstrap: Bootstrap = 1000, hidden: Hidden = 64, dropout: Dropout = 0.5, lr: LearningRate = 0.01, decay: Decay = 0.0,
    epochs: Epochs = 60, max_depth: MaxDepth = 4, min_leaf: MinLeaf = 5, taxonomy: TaxonomyName = "mma82",
    emotions: Emotions = "emotion8", target: Target = "emotion", predictions: PredictionsFile = None,
    format: FormatOption = None, seed: Seed = 0,
) -> None:  # fmt: skip
    """Ask what the actions that set emotions apart are worth (Table VIII): a small network tells the emotion of clips from
    `actions`, from those without each emotion's top ones, and from these alone."""
    from mma82cli.emotion.clips import Clips
    from mma82cli.emotion.nested import Plan
    from mma82cli.emotion.tables import mlp_tables
    from mma82cli.emotion.trees import Growth
    from mma82cli.stream import Output
    from mma82cli.taxonomy import load_taxonomy

    clips = Clips(load_taxonomy(taxonomy), load_taxonomy(emotions), target)
    held_against = emotion_id(clips.emotions, baseline)
    with Output(predictions or "/dev/null") as out:
        read = _read(pipe, clips, bool(predictions), by_split)
        chosen = _classes(pipe, clips, held_against, classes == "8")
        plan = Plan(chosen, held_against, top, Growth(max_depth, min_leaf), tfidf)
        table = clips.table()
        given = _given(table, read, chosen) if by_split else None
        parts = 0 if by_split else _folds(pipe, clips, table, folds)

        from mma82cli.emotion.mlp import Recipe
        from mma82cli.emotion.trials import Effort, lines
        from mma82cli.emotion.trials import run as try_all

        _one_thread()
        effort = Effort(repeats, parts, permutations, bootstrap, seed)
        keep = _Keeper(out, clips, table, read, chosen) if predictions else None
        recipe = Recipe(hidden, dropout, lr, decay, epochs)
        trials = try_all(table, plan, recipe, effort, given, keep, lambda loop: pipe.progress(loop, unit="repeat"))
        made = lines(trials, effort)
    if bootstrap and made[0]["ci"] is None:
        pipe.note(f"one {held_out_unit(clips)} alone is tested, and can't be resampled: ci is null")
    choices = {
        "taxonomy": clips.actions.name, "emotions": clips.emotions.name, "target": target, "classes": len(chosen),
        "baseline": clips.emotions.names[held_against], "tfidf": tfidf, "max-depth": max_depth or "none",
        "min-leaf": min_leaf, "top": top, "parts": "split" if by_split else parts, "held-out": held_out_unit(clips),
        "repeats": repeats, "permutations": permutations or "none", "bootstrap": bootstrap or "none", "hidden": hidden,
        "dropout": dropout, "lr": lr, "decay": decay, "epochs": epochs, "seed": seed,
    }  # fmt: skip
    write_report(pipe, made, choices, format, mlp_tables)


def _one_thread() -> None:
    """More threads cost more than products of such small matrices take."""
    import torch

    torch.set_num_threads(1)


def _read(pipe, clips, named: bool, by_split: bool) -> list[dict]:
    """Takes every clip; returns what is told of each, in order: its name where it is `named`, subject, split."""
    from mma82cli.records import record_id

    read = []

    def check(record: dict) -> None:
        light = {"id": record_id(record)} if named else {}
        split = record.get("split")
        if by_split and split not in SPLITS:
            raise wrong("split", split, "train, val or test (--by-split)")
        clips.add(record)
        read.append(light | {key: record[key] for key in ("subject", "split") if key in record})

    for _ in pipe.read(check):
        pass
    return read


def _classes(pipe, clips, baseline: int, with_baseline: bool) -> tuple[int, ...]:
    """The emotions to be told apart: those that have clips."""
    sizes = clips.sizes().tolist()
    if not sizes[baseline]:
        raise DataError(f"no clips of the baseline '{clips.emotions.names[baseline]}' among {len(clips.rows)}; expected some")
    chosen = tuple(e for e, n in enumerate(sizes) if n and (with_baseline or e != baseline))
    if len(chosen) < 2:
        found = ", ".join(clips.emotions.names[e] for e in chosen) or "none"
        raise DataError(f"clips of {len(chosen)} emotion(s) to tell apart ({found}); expected at least 2")
    tell_sizes(pipe, clips, 10)
    return chosen


def _folds(pipe, clips, table, folds: int) -> int:
    """As many parts as there are people for."""
    people = int(table.person.max()) + 1
    if people < 3:
        unit = held_out_unit(clips)
        raise DataError(f"{people} {unit}(s); expected at least 3: to learn from, to choose the epoch by, and to be tested")
    if people < folds:
        pipe.note(f"{people} {held_out_unit(clips)}s for {folds} folds: each is a part of its own")
    return min(folds, people)


def _given(table, read: list[dict], chosen: tuple[int, ...]):
    """The records' own parts. Raises DataError where one has no clips of a class."""
    import numpy as np

    from mma82cli.emotion.nested import Parts

    split = np.array([read[i]["split"] for i in table.order])
    classed = np.isin(table.emotion, chosen)
    for name in SPLITS:
        if not (classed & (split == name)).any():
            raise DataError(f"no clips with split '{name}' and an emotion to tell; expected train, val and test (--by-split)")
    return Parts(*(split == name for name in SPLITS))


class _Keeper:
    """Writes what the networks of each repeat say, a line for each clip and condition, clips in their order of input."""

    def __init__(self, out, clips, table, read: list[dict], classes: tuple[int, ...]):
        self.out, self.clips, self.table, self.read, self.classes = out, clips, table, read, classes

    def __call__(self, repeat: int, tried) -> None:
        import numpy as np
        import orjson

        from mma82cli.emotion.nested import CONDITIONS
        from mma82cli.stream import WRITE

        names = self.clips.emotions
        asked = ~np.isnan(tried.scores[0, :, 0])
        rows = sorted(np.flatnonzero(asked).tolist(), key=lambda row: self.table.order[row])
        scores = np.zeros((len(CONDITIONS), len(asked), len(names)), np.float32)  # an emotion that is no class has 0
        scores[:, :, list(self.classes)] = tried.scores
        for c, condition in enumerate(CONDITIONS):
            for row in rows:
                light = self.read[self.table.order[row]]
                line = {"id": light["id"], "run": f"{condition}-{repeat}", "actions": condition, **light}
                line |= {self.clips.target: names.names[self.table.emotion[row]], "taxonomy": names.name}
                self.out.write(orjson.dumps(line | {"scores": scores[c, row]}, option=WRITE))
