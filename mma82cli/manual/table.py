"""The command table as data: every command with its text, arguments, options and fields, as `@command` declares them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import get_args, get_origin

import typer

from mma82cli.cli import COMMANDS
from mma82cli.commands.options import CHECKS, SHARED


@dataclass(frozen=True)
class Option:
    """An option, or an argument (which has no names)."""

    names: tuple[str, ...]  # short first: ("-o", "--output")
    metavar: str | None  # None: a flag
    help: str
    choices: tuple[str, ...]
    default: str | None
    bounds: tuple[float | None, float | None]
    repeatable: bool
    required: bool

    @property
    def long(self) -> str:
        """`--output`."""
        return self.names[-1]


@dataclass(frozen=True)
class Command:
    """A row of the command table with all that its page and its completions are made of."""

    name: str
    line: str  # of `mma82 --help`
    text: str  # paragraphs; one that begins with \b stays as it is set
    arguments: tuple[Option, ...]
    options: tuple[Option, ...]
    shared: tuple[Option, ...]  # options that it has in common with the others
    example: str
    reads: bool  # FILEs of records
    takes: tuple[str, ...]
    adds: tuple[str, ...]
    writes: tuple[str, ...]


def commands() -> list[Command]:
    """Every command of the table, in its order."""
    return [_command(name, module, line) for name, (module, line) in COMMANDS.items()]


def _command(name: str, module: str, line: str) -> Command:
    function = import_module(f"mma82cli.commands.{module}").run
    parameters = inspect.signature(function).parameters.values()
    common = {parameter.name for parameter in SHARED + CHECKS}
    options = [p for p in parameters if isinstance(_info(p), typer.models.OptionInfo)]
    return Command(
        name,
        line,
        inspect.cleandoc(function.__doc__),
        tuple(_option(p) for p in parameters if p not in options),
        tuple(_option(p) for p in options if p.name not in common),
        tuple(_option(p) for p in options if p.name in common),
        inspect.cleandoc(function.example),
        function.reads,
        tuple(function.takes),
        tuple(function.adds),
        tuple(function.writes),
    )


def _info(parameter):
    return parameter.annotation.__metadata__[0]


def _option(parameter) -> Option:
    info, kind = _info(parameter), parameter.annotation.__origin__
    if isinstance(info, typer.models.OptionInfo):  # within Annotated, the first name is where the default used to be
        names = tuple(sorted((info.default, *info.param_decls), key=len))
    else:
        names = ()
    repeatable = get_origin(kind) is list
    if repeatable:
        (kind,) = get_args(kind)
    choices = tuple(str(c.value) for c in kind) if isinstance(kind, type) and issubclass(kind, Enum) else ()
    metavar = None if kind is bool else info.metavar or "|".join(choices)
    required = parameter.default is inspect.Parameter.empty
    return Option(names, metavar, info.help, choices, _shown(info, parameter), (info.min, info.max), repeatable, required)


def _shown(info, parameter) -> str | None:
    """The default as a person reads it; None where there is none to show."""
    value = parameter.default
    if isinstance(info.show_default, str):
        return info.show_default
    if not info.show_default or value is None or value is False or value is inspect.Parameter.empty:
        return None
    return str(value.value if isinstance(value, Enum) else value)
