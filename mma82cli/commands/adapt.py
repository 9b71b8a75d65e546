"""`mma82 adapt`: few-shot recognition in another domain, many runs at once (Section V, Table IV)."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from mma82cli.commands.checkpoint import Checkpoint, Clips, RecipeName, TaxonomyName, load_checkpoint, with_changes
from mma82cli.commands.options import LayoutFile, Seed, Target, command
from mma82cli.commands.training import DeviceOption, PrecisionOption

Mode = Literal["head", "full", "prototype"]

ModeOption = Annotated[Mode, typer.Option("--mode", help="what is fitted: the last layer, every layer, or class means")]
Pull = Annotated[float, typer.Option("--pull", metavar="X", min=1e-6, max=1e6, help="head: how firmly to keep to the old one")]
Steps = Annotated[int, typer.Option("--steps", metavar="N", min=1, help="full: steps of training a run")]
LearningRate = Annotated[float, typer.Option("--lr", metavar="X", min=0, max=1e3, help="full: the first learning rate")]
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

    (loaded,) = with_changes([load_checkpoint(checkpoint, recipe, taxonomy)], {"clips": clips})
    model, settings, labels, about = loaded

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
    runs = _all_runs(records)
    for found in _domains(pipe, records, runs, len(labels), fit):
        _write(pipe, records, runs, labels, *found)


def _adaptation(model, settings, about, asked, device, dtype):
    from mma82cli.records import WrongUsage
    from mma82cli.training.skeleton.adaptation import SkeletonAdaptation
    from mma82cli.training.skeleton.recipe import SkeletonRecipe

    if not isinstance(settings, SkeletonRecipe):
        raise WrongUsage(f"the checkpoint is of '{settings.model}'; expected a network of joints (posec3d, stgcn)")
    return SkeletonAdaptation(model, settings, about, asked, device, dtype)


def _read(pipe, adaptation) -> list[dict]:
    """The light part of each target record, in order; the joints go into `adaptation`."""
    from mma82cli.records import DataError, record_id, show

    records, passed = [], 0
    places: dict[str, str] = {}  # of ids: a clip that comes twice might be support and query of one run
    for line in pipe.progress(pipe.lines()):
        if "support_runs" not in line.record:
            passed += 1
            continue
        try:
            name = record_id(line.record)
            if name in places:
                raise DataError(f"id {show(name)} was given before, at {places[name]}; ids must differ")
            light = {"id": name, "runs": _runs(line.record), "domain": line.record.get("domain")}
            light["label"], light["seen"] = adaptation.add(line.record)
            places[name] = line.place
        except DataError as error:
            pipe.reject(line, error)
        else:
            records.append(light)
    if passed:
        pipe.note(f"{passed} records without support_runs passed over")
    _check_protocol(records)
    empty = sum(not record["seen"] for record in records)
    if empty:
        pipe.note(f"{empty} clips without a joint: no run learns from them, their scores are uniform")
    return records


def _check_protocol(records: list[dict]) -> None:
    from mma82cli.records import DataError

    expected = "expected what `mma82 make-splits --protocol few-shot` gives"
    if not any(record["runs"] for record in records):
        raise DataError(f"no record is support in any run; {expected}")
    runs = _all_runs(records)
    if all(set(runs) == set(record["runs"]) for record in records):
        raise DataError(f"every record is support in every run, and none is asked for; {expected}")


def _all_runs(records: list[dict]) -> list[int]:
    """The runs that have some support."""
    return sorted({run for record in records for run in record["runs"]})


def _runs(record: dict) -> list[int]:
    from mma82cli.records import wrong

    runs = record["support_runs"]
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        raise wrong("support_runs", runs, "a list of runs (from 0)")
    return runs


def _domains(pipe, records: list[dict], runs: list[int], classes: int, fit):
    """(rows, probabilities (R, N, C)) of each domain, in order of first appearance. A clip without a joint is as likely
    anything."""
    import numpy as np

    rows: dict = {}
    for i, record in enumerate(records):
        rows.setdefault(record["domain"], []).append(i)
    for members in pipe.progress(list(rows.values()), unit="domain"):
        seen = np.array([i for i in members if records[i]["seen"]], np.int64)
        probabilities = np.full((len(runs), len(members), classes), 1 / classes, np.float32)
        if len(seen):
            support = np.array([[run in records[i]["runs"] for i in seen] for run in runs])
            probabilities[:, np.isin(members, seen)] = fit(seen, support)
        yield members, probabilities


def _write(pipe, records: list[dict], runs: list[int], labels, rows: list[int], probabilities) -> None:
    import numpy as np

    for place, i in enumerate(rows):
        record = records[i]
        for at, run in enumerate(runs):
            if run not in record["runs"]:
                line = {"id": record["id"], "run": run, "label": labels.names[record["label"]]}
                if record["domain"] is not None:
                    line["domain"] = record["domain"]
                scores = np.ascontiguousarray(probabilities[at, place])
                pipe.write({**line, "scores": scores, "taxonomy": labels.name})
