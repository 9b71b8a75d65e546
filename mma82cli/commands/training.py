"""What `train-rec` and `train-det` share: their options, and the way from records to a run in its folder."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from mma82cli.commands.options import quiet_decoders, torchrun_place

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bf16"]

Out = Annotated[str, typer.Option("--out", metavar="DIR", help="folder for checkpoints, recipe and log")]
Overrides = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", show_default=False, help="change a recipe key")]
Init = Annotated[str, typer.Option("--init", metavar="CKPT", show_default=False, help="start from these weights, or imagenet")]
Resume = Annotated[bool, typer.Option("--resume", help="go on with the run in DIR, exactly")]
DeviceOption = Annotated[Device, typer.Option("--device", help="auto: a GPU where there is one")]
PrecisionOption = Annotated[Precision, typer.Option("--precision", help="auto: bf16 where the device is fast at it")]
Deterministic = Annotated[bool, typer.Option("--deterministic", help="same bytes from every run on one device; no times")]


@dataclass(frozen=True)
class Wanted:
    """The options of a training command, as they were given."""

    command: str
    out: str
    recipe: str
    overrides: list[str]
    init: str | None
    resume: bool
    device: str
    precision: str
    deterministic: bool
    seed: int


def train(pipe, wanted: Wanted, asked) -> None:
    """Reads records, trains, writes a line an epoch. `asked` is a `training.task.Asked`."""
    from pathlib import Path

    from mma82cli.training.device import choose_device, choose_precision, keep_freed_memory, make_deterministic
    from mma82cli.training.families import FAMILIES

    quiet_decoders()
    rank, world, local = torchrun_place(pipe)
    settings, folder = _recipe(wanted), Path(wanted.out)
    about = _about(settings, asked, wanted.seed)
    if wanted.resume:
        _check_resumed(folder, about)
    start = None if wanted.init is None else _weights_at(pipe, wanted.init)  # before hours of decoding
    where = choose_device(wanted.device, local)
    smaller = settings.smaller() if where.type == "cpu" else None
    if smaller:
        pipe.note(f"recipe '{wanted.recipe}' is for a GPU, and may take days on a CPU; {smaller} is for a CPU")
    data = _read(pipe, FAMILIES[settings.model].load("data")(settings, asked))

    from mma82cli.training.checkpoint import STATE
    from mma82cli.training.loop import Run, fit
    from mma82cli.training.ranks import Ranks, join

    dtype = choose_precision(wanted.precision, where, gradients=True)
    keep_freed_memory()
    if wanted.deterministic:
        make_deterministic(where)
    precision = str(dtype).removeprefix("torch.")
    about |= _plain({"precision": precision, **data.about()})
    was: dict = _check_resumed(folder, about) if wanted.resume else {"epoch": 0}
    ranks = join(rank, world, where) if world > 1 else Ranks()
    pipe.apart = world > 1
    model = data.model(wanted.seed)
    if start is not None:
        _start_from(pipe, start, model, settings.model, asked.labels)
    folder.mkdir(parents=True, exist_ok=True)
    if not wanted.resume and (folder / STATE).exists():
        pipe.note(f"the run in {folder} is begun anew (--resume goes on with it)")
    pipe.note(f"{data.words()}; {where.type}, {precision}")
    if was["epoch"] >= settings.epochs:
        pipe.note(f"the run in {folder} has ended: epoch {was['epoch']} of {settings.epochs} is done")
    if not data.splits["val"]:
        pipe.note("no val records: the best epoch is the last")
    task = data.task(where, dtype)
    begun = was.get("begun", {"steps": 0})["steps"] * settings.batch_size
    total = (settings.epochs - was["epoch"]) * settings.repeat * task.rows - begun
    with pipe.progress(total=total, unit=data.unit) as bar, Ending(world == 1) as ending:
        job = Run(folder, about, wanted.seed, where, bar.update, not wanted.deterministic, ranks, ending.asked)
        for figures in fit(model, job, task, wanted.resume):
            shown = {key: value for key, value in figures.items() if key in ("epoch", "loss") or key.startswith("val_")}
            bar.set_postfix(shown, refresh=False)
            pipe.write(figures)
            pipe.out.flush()
    if ending.asked():
        pipe.note(f"stopped, and saved in {folder}: --resume goes on from there")
        raise SystemExit(128 + ending.signal)


class Ending:
    """While a run trains, Ctrl-C and its kind only ask it to save and end; a second time they end it at once. `heeds`: else
    they end it at once in any case."""

    def __init__(self, heeds: bool):
        self.signal = 0
        kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if heeds else ()
        self.before = {kind: signal.getsignal(kind) for kind in kinds}

    def asked(self) -> bool:
        """Whether one has come."""
        return self.signal != 0

    def __enter__(self) -> Ending:
        for kind, handler in self.before.items():
            if callable(handler):  # else it is ignored, as by nohup
                signal.signal(kind, self._hear)
        return self

    def __exit__(self, *_) -> None:
        for kind, handler in self.before.items():
            signal.signal(kind, handler)

    def _hear(self, number: int, _) -> None:
        self.signal = number
        self.__exit__()


def _recipe(wanted: Wanted):
    """The recipe, which must be one of the command's."""
    from mma82cli.records import WrongUsage
    from mma82cli.training.families import FAMILIES
    from mma82cli.training.recipe import load_recipe

    settings = load_recipe(wanted.recipe, wanted.overrides)
    command = FAMILIES[settings.model].command
    if command != wanted.command:
        raise WrongUsage(f"recipe '{wanted.recipe}' is for `mma82 {command}`")
    return settings


def _read(pipe, data):
    """The train and val records of the stream, in `data`; or what was kept of them."""
    from collections import Counter, deque

    from mma82cli.records import show

    known = data.recall(pipe.files or ["-"])
    waiting: deque = deque()  # lines, and what other threads find out about them
    ids: Counter[str] = Counter()
    for line in () if known else pipe.progress(pipe.lines()):
        ids[str(line.record.get("id", line.place))] += 1
        waiting.append((line, data.look(line.record)))
        if len(waiting) > data.ahead:
            _add(pipe, data, *waiting.popleft())
    for line, found in waiting:
        _add(pipe, data, line, found)
    if repeated := [name for name, count in ids.items() if count > 1]:
        pipe.note(f"{len(repeated)} of {len(ids)} ids come more than once, such as {show(repeated[0])}; each record counts")
    data.complete(pipe.note)
    if not known and not pipe.skipped and not pipe.muted:
        data.keep()
    return data


def _add(pipe, data, line, found) -> None:
    from mma82cli.records import MISSING, SPLITS, DataError, wrong

    try:
        split = line.record.get("split", MISSING)
        if split not in SPLITS:
            raise wrong("split", split, "train, val or test (`mma82 make-splits` adds it)")
        if found is not None:
            found.result()
        if split != "test":
            data.add(line.record, split)
    except DataError as error:
        pipe.reject(line, error)


def _about(recipe, asked, seed: int) -> dict:
    """What checkpoints say of themselves."""
    from dataclasses import asdict

    from mma82cli import __version__

    said = {"recipe": asdict(recipe), "taxonomy": asked.labels.to_json(), "target": asked.target, "version": __version__}
    return _plain(said | {"seed": seed})


def _plain(value: dict) -> dict:
    """As it comes back from JSON (lists for tuples), so that both can be compared."""
    import json

    return json.loads(json.dumps(value))


def _check_resumed(folder, about: dict) -> dict:
    """What the run in `folder` says of itself. Raises DataError where it was another run: it could not go on exactly."""
    from dataclasses import asdict

    from mma82cli.records import DataError, show
    from mma82cli.training import checkpoint
    from mma82cli.training.recipe import recipe_from_dict

    was = checkpoint.read_about(folder)
    ran = _plain(asdict(recipe_from_dict(was["recipe"], folder)))  # keys that it was begun without have their defaults
    if was["taxonomy"] != about["taxonomy"]:
        old, new = (f"{x['name']} ({len(x['labels'])} labels)" for x in (was["taxonomy"], about["taxonomy"]))
        raise DataError(f"{folder}: the run to resume is of taxonomy {old}; found {new}")
    for key, value in about["recipe"].items():
        if ran.get(key) != value:
            raise DataError(f"{folder}: the run to resume has {key} = {show(ran.get(key))}; found {show(value)} now")
    for key in sorted(about.keys() - {"taxonomy", "recipe", "version", "joints"}):
        if was.get(key, about[key]) == about[key]:
            continue
        if key == "digest":
            raise DataError(f"{folder}: the run to resume learns from other records, though as many; expected those again")
        raise DataError(f"{folder}: the run to resume has {key} {show(was.get(key))}; found {show(about[key])} now")
    return was


def _weights_at(pipe, name: str) -> str:
    """Where the weights are that are to start from: a file, a run's folder, or a public file by its name, which is fetched."""
    import os

    from mma82cli import hub
    from mma82cli.records import WrongUsage

    if os.path.exists(name):
        return name
    if name in hub.public_files():
        return str(hub.fetch(name, pipe.note))
    raise WrongUsage(f"{name}: No such file or directory")


def _start_from(pipe, path: str, model, kind: str, labels) -> None:
    """Fills `model` with the weights at `path`. Its last layer stays new where the labels are others, and so do parts that
    networks of this kind were first built without."""
    from mma82cli import models
    from mma82cli.models import weights
    from mma82cli.taxonomy import from_json

    checkpoint, module = weights.read(path), models.module_of(kind)
    state = dict(models.names_of_ours(module, checkpoint.state))
    added = [key for key in model.state_dict() if key not in state and getattr(module, "may_be_new", lambda _: False)(key)]
    notes = []
    if added:
        notes.append(f"{path} has no {weights.some(added)}: they start anew")
        state.update({key: model.state_dict()[key] for key in added})
    head = {key: value for key, value in model.state_dict().items() if key.startswith(module.HEAD)}
    fits = all(key in state and state[key].shape == value.shape for key, value in head.items())
    if not fits or (checkpoint.taxonomy and from_json(checkpoint.taxonomy).names != labels.names):
        notes.append(f"{path} has other labels than {labels.name}: its last layer is left out and starts anew")
        state = {key: value for key, value in state.items() if not key.startswith(module.HEAD)} | head
    weights.fill(model, state, path)  # or it is another kind of network, and nothing starts anew
    for note in notes:
        pipe.note(note)
