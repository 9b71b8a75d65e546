"""`mma82 adapt`: few-shot recognition in another domain, many runs at once (Section V, Table IV)."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from mma82cli.commands.checkpoint import Checkpoint, Clips, RecipeName, TaxonomyName, load_checkpoint
from mma82cli.commands.options import LayoutFile, Seed, Target, command
from mma82cli.commands.training import DeviceOption, PrecisionOption

Mode = Literal["head", "full", "prototype"]

ModeOption = Annotated[Mode, typer.Option("--mode", help="what is fitted: the last layer, every layer, or class means")]
Pull = Annotated[float, typer.Option("--pull", metavar="X", min=1e-6, help="head: how firmly to keep to the checkpoint's")]
Steps = Annotated[int, typer.Option("--steps", metavar="N", min=1, help="full: steps of training a run")]
LearningRate = Annotated[float, typer.Option("--lr", metavar="X", min=0, help="full: the first learning rate")]
Features = Annotated[str, typer.Option("--cache", metavar="DIR", show_default=False, help="keep the clips' features here")]

EXAMPLE = """
mma82 make-splits --protocol few-shot --source laboratory --target street --shots 5 skeletons.jsonl > few.jsonl
mma82 adapt run few.jsonl | mma82 score --by domain --mean-over run
"""


@command(
    example=EXAMPLE,
    takes="id label domain support_runs layout keypoints width height",
    writes="id run label domain scores taxonomy",
)
def run(
    pipe,
    checkpoint: Checkpoint,
    mode: ModeOption = "head",
    pull: Pull = 0.1,
    steps: Steps = 60,
    lr: LearningRate = 1e-3,
    clips: Clips = 0,
    cache: Features = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    recipe: RecipeName = None,
    taxonomy: TaxonomyName = None,
    layout: LayoutFile = None,
    target: Target = "label",
    seed: Seed = 0,
) -> None:
    """Few-shot recognition: a network of joints learns from a few clips of a domain and is asked for the others, in many
    runs. In: what `make-splits --protocol few-shot` gives; records without support_runs are passed over. Out: a line for
    each clip and run in which it is a query.

    Each domain and run begins with the checkpoint anew. head computes every clip's features once and fits the last layer of
    all runs together; prototype takes the class whose mean direction is nearest (0 for a class without support); full
    trains all layers of a copy of the network on the run's support, one run after the other."""
    from mma82cli.skeleton.layouts import load_layout
    from mma82cli.training.task import Asked

    model, settings, labels, about = load_checkpoint(checkpoint, recipe, taxonomy, {"clips": clips} if clips else {})

    from mma82cli.training.device import choose_device, choose_precision, keep_freed_memory

    where = choose_device(device)
    keep_freed_memory()
    asked = Asked(labels, target, load_layout(layout) if layout else None, cache=cache)
    dtype = choose_precision(precision, where, gradients=mode == "full")
    adaptation = _adaptation(model, settings, about, asked, where, dtype)
    records = _read(pipe, adaptation)
    fit = {
        "head": lambda rows, support: adaptation.heads(rows, support, pull),
        "prototype": adaptation.prototypes,
        "full": lambda rows, support: adaptation.networks(rows, support, steps, lr, seed),
    }[mode]
    for found in _domains(pipe, records, fit):
        _write(pipe, records, labels, *found)


def _adaptation(model, settings, about, asked, device, dtype):
    from mma82cli.records import WrongUsage
    from mma82cli.training.skeleton.adaptation import SkeletonAdaptation
    from mma82cli.training.skeleton.recipe import SkeletonRecipe

    if not isinstance(settings, SkeletonRecipe):
        raise WrongUsage(f"the checkpoint is of '{settings.model}'; expected a network of joints (posec3d, stgcn)")
    return SkeletonAdaptation(model, settings, about, asked, device, dtype)


def _read(pipe, adaptation) -> list[dict]:
    """The light part of each target record, in order; the joints go into `adaptation`."""
    from mma82cli.records import DataError, record_id

    records, passed = [], 0
    for line in pipe.progress(pipe.lines()):
        if "support_runs" not in line.record:
            passed += 1
            continue
        try:
            light = {"id": record_id(line.record), "runs": _runs(line.record), "domain": line.record.get("domain")}
            light["label"] = adaptation.add(line.record)
        except DataError as error:
            pipe.reject(line, error)
        else:
            records.append(light)
    if passed:
        pipe.note(f"{passed} records without support_runs passed over")
    if not any(record["runs"] for record in records):
        raise DataError("no record is support in any run; expected what `mma82 make-splits --protocol few-shot` gives")
    return records


def _runs(record: dict) -> list[int]:
    from mma82cli.records import wrong

    runs = record["support_runs"]
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        raise wrong("support_runs", runs, "a list of runs (from 0)")
    return runs


def _domains(pipe, records: list[dict], fit):
    """(rows, support (R, N), probabilities (R, N, C)) of each domain, in order of first appearance."""
    import numpy as np

    count = 1 + max(run for record in records for run in record["runs"])
    rows: dict = {}
    for i, record in enumerate(records):
        rows.setdefault(record["domain"], []).append(i)
    for members in pipe.progress(list(rows.values()), unit="domain"):
        support = np.zeros((count, len(members)), bool)
        for place, i in enumerate(members):
            support[records[i]["runs"], place] = True
        yield np.array(members), support, fit(np.array(members), support)


def _write(pipe, records: list[dict], labels, rows, support, probabilities) -> None:
    import numpy as np

    for place, i in enumerate(rows.tolist()):
        record = records[i]
        for run in np.flatnonzero(~support[:, place]).tolist():
            line = {"id": record["id"], "run": run, "label": labels.names[record["label"]], "domain": record["domain"]}
            pipe.write({**line, "scores": np.ascontiguousarray(probabilities[run, place]), "taxonomy": labels.name})
