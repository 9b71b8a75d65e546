"""The man pages: one a command, from the command table; `mma82.1` and the tutorials, from `share/doc/mma82`."""

from __future__ import annotations

import re

from mma82cli import __version__
from mma82cli.cli import folded
from mma82cli.manual import markdown, roff
from mma82cli.manual.fields import FIELDS
from mma82cli.manual.table import Command, Option

STATUS = {
    "0": "done; also where nobody reads the output any more (or 141)",
    "1": "bad data, records that were skipped, or a failure at run time",
    "2": "wrong usage",
    "130": "interrupted from the keyboard",
}
READS = """
Records are read from the FILEs in order, from standard input where there is none or it is `-`; gzip is read as it is. Fields
that are named nowhere below pass through untouched where records are passed on. mma82(1) says more of records, streams and
errors.
"""
WRITES = "mma82(1) says more of records, streams and errors."


def command_page(command: Command, everything: list[Command], date: str) -> str:
    """The page of one command."""
    name = f"mma82-{command.name}"
    lines = [
        _head(name, 1, date),
        *_name(name, command.line),
        roff.section("synopsis"),
        _synopsis(command),
        roff.section("description"),
        *roff.prose(command.text, first=True),
        *roff.prose(READS if command.reads else WRITES),
        *_arguments(command),
        roff.section("options"),
        *map(_option, command.options),
        roff.subsection("Options of every command"),
        *map(_option, command.shared),
        *_fields(command),
        roff.section("exit status"),
        *exit_status(),
        roff.section("examples"),
        roff.block("\n".join(folded(command.example)), opens=True),
        *_see_also(command, everything),
    ]
    return "\n".join(lines) + "\n"


def written_page(text: str, section: int, date: str, everything: list[Command], others: list[str]) -> str:
    """The page of a text in `share/doc/mma82`. `others`: pages to see also, as name(section)."""
    name, line = markdown.title(text)
    filled = {
        "commands": [roff.item(f"{roff.bold(f'mma82-{c.name}')}(1)", c.line) for c in everything],
        "fields": [roff.item(roff.bold(field), meaning) for field, meaning in FIELDS.items()],
        "status": exit_status(),
    }
    lines = [_head(name, section, date), *_name(name, line), *markdown.body(text, filled)]
    return "\n".join([*lines, roff.section("see also"), _references(others)]) + "\n"


def exit_status() -> list[str]:
    """What each exit status says."""
    return [roff.item(roff.bold(status), text) for status, text in STATUS.items()]


def _head(name: str, section: int, date: str) -> str:
    return (
        f'.\\" Made by python -m mma82cli.manual; changes here are lost.\n'
        f'.TH {name.upper()} {section} "{date}" "mma82 {__version__}" "mma82"\n.nh\n.ad l'
    )


def _name(name: str, line: str) -> list[str]:
    return [roff.section("name"), roff.folded(f"{roff.verbatim(name)} \\- {roff.escape(line)}")]


def _synopsis(command: Command) -> str:
    parts = [roff.bold(f"mma82 {command.name}")]
    parts += [f"{roff.bold(o.long)} {roff.italic(o.metavar)}" for o in command.options if o.required]
    parts.append(f"[{roff.italic('OPTION')}]...")
    for argument in command.arguments:
        dots = "..." if argument.repeatable else ""
        parts.append((f"{roff.italic(argument.metavar)}" if argument.required else f"[{roff.italic(argument.metavar)}]") + dots)
    return " ".join(parts)


def _arguments(command: Command) -> list[str]:
    if not command.arguments:
        return []
    items = [roff.item(roff.italic(a.metavar), _words(a)) for a in command.arguments]
    return [roff.section("arguments"), *items]


def _option(option: Option) -> str:
    head = ", ".join(map(roff.bold, option.names))
    return roff.item(f"{head} {roff.italic(option.metavar)}" if option.metavar else head, _words(option))


def _words(option: Option) -> str:
    """Help, and in brackets what else is to be known of an option."""
    least, most = option.bounds
    more = []
    if option.required and option.names:
        more.append("must be given")
    if option.names and option.repeatable and "repeat" not in option.help:
        more.append("may be given several times")
    if option.choices and option.metavar != "|".join(option.choices):
        more.append("one of " + ", ".join(option.choices))
    if least is not None:
        more.append(f"at least {least:g}" if most is None else f"from {least:g} to {most:g}")
    if option.default is not None:
        more.append(f"default: {option.default}")
    return option.help + (f" ({'; '.join(more)})" if more else "")


def _fields(command: Command) -> list[str]:
    """The fields of records that it reads and adds, or of the lines that it writes."""
    lines: list[str] = []
    for words, names in (("Read", command.takes), ("Added", command.adds), ("Written", command.writes)):
        if names:
            known = [roff.item(roff.bold(name), FIELDS[name]) for name in names if name in FIELDS and words != "Written"]
            bare = [name for name in names if name not in FIELDS or words == "Written"]
            lines += [roff.subsection(words), *known]
            lines += [roff.inline("A line holds " + ", ".join(f"`{name}`" for name in bare) + ".")] * bool(bare)
    return [roff.section("fields"), *lines] if lines else []


def _see_also(command: Command, everything: list[Command]) -> list[str]:
    words = command.text + command.example
    named = [c.name for c in everything if c is not command and re.search(rf"mma82 {c.name}\b|`{c.name}[` ]", words)]
    return [roff.section("see also"), _references(["mma82(1)", *(f"mma82-{name}(1)" for name in named)])]


def _references(pages: list[str]) -> str:
    return ",\n".join(".BR " + page.replace("-", "\\-").replace("(", " (") for page in pages).replace("),\n", ") ,\n")
