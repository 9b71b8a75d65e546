"""What all commands share: the options that every one has, and how a function becomes a command.

A command is a function `run(pipe, …its own options…)` with `@command(example=…)` above it. The decorator
adds FILE…, -o, -q, --no-progress, --on-error and --debug, and hands the function a `Pipe`.
"""

from __future__ import annotations

import inspect
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from mma82cli.records import DataError, WrongUsage


def one_of(*words: str) -> Any:
    """An option type that accepts just these words, where a table gives them; else `Literal["these", "words"]`."""
    return Literal[words]


PATIENCE = 30  # seconds that a silent process waits for the speaking one to tell an error
OnError = Literal["stop", "skip"]

Files = Annotated[list[str], typer.Argument(metavar="FILE", show_default=False, help="JSON Lines; none, or -: stdin")]
OutputFile = Annotated[str, typer.Option("--output", "-o", metavar="FILE", show_default=False, help="write here, atomically")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="say nothing but errors")]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="no progress bar")]
OnErrorOption = Annotated[
    OnError, typer.Option("--on-error", metavar="stop|skip", help="skip: bad records go to stderr, the rest is done")
]
Debug = Annotated[bool, typer.Option("--debug", help="show the traceback of an error")]

Seed = Annotated[int, typer.Option("--seed", metavar="N", help="seed of everything random")]
TaxonomyName = Annotated[str, typer.Option("--taxonomy", metavar="NAME|FILE", help="label set")]
Target = Annotated[str, typer.Option("--target", metavar="FIELD", help="field that holds the truth")]
Cache = Annotated[str, typer.Option("--cache", metavar="DIR", show_default=False, help="keep decoded frames or joints here")]
LayoutFile = Annotated[str, typer.Option("--layout", metavar="NAME|FILE", show_default=False, help="joint set of the records")]
Truth = Annotated[str, typer.Option("--truth", metavar="FILE", show_default=False, help="truth to join by id")]
Split = Annotated[str, typer.Option("--split", metavar="NAME", show_default=False, help="only records of this split")]
Root = Annotated[str, typer.Option("--root", metavar="DIR", help="folder that 'video' paths are relative to")]


def _parameter(name, annotation, default):
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


READS = [_parameter("files", Files, None)]
SHARED = [
    _parameter("output", OutputFile, None),
    _parameter("quiet", Quiet, False),
    _parameter("no_progress", NoProgress, False),
    _parameter("debug", Debug, False),
]
CHECKS = [_parameter("on_error", OnErrorOption, "stop")]


def command(example: str, reads: bool = True, details: str = "", takes: str = "", adds: str = "", writes: str = "") -> Callable:
    """Makes `run(pipe, **options)` a command. `reads`: it takes FILEs of records (else it only writes).
    Its help is the function's docstring and the `details`. `takes`, `adds`: the fields of records that it reads and adds
    (manual/fields.py says what they mean); `writes`: the fields of lines that are no enriched records.

    The function may return an exit status; None is 0, or 1 where records were skipped.
    """

    def decorate(function):
        own = [_for_typer(p) for p in list(inspect.signature(function, eval_str=True).parameters.values())[1:]]
        extra = READS + SHARED + [_for_typer(p) for p in CHECKS] if reads else SHARED
        arguments = [p for p in own if isinstance(p.annotation.__metadata__[0], typer.models.ArgumentInfo)]
        options = [p for p in own if p not in arguments]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in arguments + READS * reads + options]
        parameters += [p for p in extra if p not in READS]

        def invoke(files=None, output=None, quiet=False, no_progress=False, debug=False, on_error="stop", **own_options):
            from mma82cli.stream import Pipe

            values = {"files": files, "output": output, **own_options}
            for parameter in READS + own + SHARED:
                _check(parameter, values.get(parameter.name))
            pipe = Pipe(call.name, files, output, quiet, not no_progress, _plain(on_error))
            plain = {name: _plain(value) for name, value in own_options.items()}
            told = values | plain | {"on_error": pipe.on_error}
            pipe.given = [_name(p) for p in own + extra if told.get(p.name) not in (None, [], p.default)]
            return run_in(pipe, function, plain)

        call: Any = invoke  # a function that carries what help and manual say of it
        call.__doc__ = inspect.getdoc(function) + "\n\n" + details.strip()
        call.__signature__ = inspect.Signature(parameters)
        call.__annotations__ = {p.name: p.annotation for p in parameters}
        call.example, call.reads = example, reads
        call.takes, call.adds, call.writes = takes.split(), adds.split(), writes.split()
        return call

    return decorate


def _for_typer(parameter: inspect.Parameter) -> inspect.Parameter:
    """An option of a few words, `Literal` or a list of them, as Typer knows it, with the words where another shows its
    metavar."""
    info, kind = parameter.annotation.__metadata__[0], parameter.annotation.__origin__
    each = get_args(kind)[0] if get_origin(kind) is list else kind
    if get_origin(each) is not Literal:
        return parameter
    make: Any = Enum
    words = make("Choice", {word: word for word in get_args(each)}, type=str)  # unlike a Literal it may stand in a list
    kind = list[words] if each is not kind else words
    if not info.metavar:
        info = copy(info)
        info.metavar = "|".join(get_args(each))
    return parameter.replace(annotation=Annotated[kind, info])


def _name(parameter: inspect.Parameter) -> str:
    """--name of an option; what help calls an argument."""
    info = parameter.annotation.__metadata__[0]
    option = next((word for word in (info.default, *(info.param_decls or ())) if str(word).startswith("--")), None)
    return option or info.metavar or parameter.name.upper()


def _check(parameter: inspect.Parameter, value) -> None:
    """Raises WrongUsage for what is never meant: nan, and the empty text of a shell's variable that isn't set."""
    name, metavar = _name(parameter), parameter.annotation.__metadata__[0].metavar
    if isinstance(value, float) and not math.isfinite(value):
        raise WrongUsage(f"{name} is {value}; expected a finite number")
    if (value == "" and parameter.default != "") or (isinstance(value, list) and "" in value):
        raise WrongUsage(f"{name} is empty; expected {metavar if metavar and name.startswith('--') else 'a name'}")


def only(pipe, why: str, *allowed: str) -> None:
    """Raises WrongUsage, with the reason `why`, where options or arguments were given that are not among those `allowed`."""
    found = [name for name in pipe.given if name not in allowed]
    if found:
        raise WrongUsage(f"{why}; found {' and '.join(found)}")


def _plain(value):
    """An option's value as its function takes it."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.value if isinstance(value, Enum) else value


def run_in(pipe, function, options: dict) -> int:
    """Runs a command over its pipe: output is complete, or it is as if it had never begun."""
    try:
        with _warnings_told(pipe):
            status = function(pipe, **options)
        pipe.out.commit()
    except (DataError, WrongUsage) as error:
        _abandon(pipe)
        if pipe.muted and not pipe.apart:  # the one that speaks has met the same: torchrun must not end it before it has said so
            time.sleep(PATIENCE)
            sys.exit(2 if isinstance(error, WrongUsage) else 1)
        raise
    except BaseException:
        _abandon(pipe)
        raise
    # a silent process leaves with 0: torchrun ends all when one fails, and the one that writes may not have finished
    return status or int(bool(pipe.skipped) and not pipe.muted)


@contextmanager
def _warnings_told(pipe) -> Iterator[None]:
    """What Python and libraries warn of in here is told as everything else: in a line, and not with -q."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: pipe.note(" ".join(str(message).split()))
        yield


def quiet_decoders() -> None:
    """Silences OpenCV and FFmpeg, before they are imported: what they say of a bad file, our one line says too."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")


def torchrun_place(pipe) -> tuple[int, int, int]:
    """(rank, world, rank on this machine) under torchrun, else (0, 1, 0). Every process but the first falls silent."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1, 0
    rank, world, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if rank > 0:
        pipe.mute()
    if world > 1 and "-" in (pipe.files or ["-"]):
        raise WrongUsage("under torchrun every process reads the records: give a FILE, not standard input")
    return rank, world, local


def _abandon(pipe) -> None:
    try:
        pipe.out.abort()
    except OSError:
        pass  # the first error is the one to tell
