"""The pages of `share/doc/mma82` to man(7). They are written in the part of Markdown that a manual needs.

A page begins with `# NAME - what it is`; then come `## sections`, `### subsections`, paragraphs, `- ` lists, tables and
fenced blocks. A line `<!-- commands -->` is filled with what the command table knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mma82cli.manual import roff

HEADING = re.compile(r"(#+) (.*)")
CELL = re.compile(r"(?<!\\)\|")
RULE = re.compile(r"[|\-: ]+$")
FILLED = re.compile(r"<!-- (\w+) -->")


def title(text: str) -> tuple[str, str]:
    """(name, what it is) of a page."""
    name, _, line = text.split("\n", 1)[0].removeprefix("# ").partition(" - ")
    return name, line


def body(text: str, filled: Mapping[str, list[str]]) -> list[str]:
    """The roff of a page below its title. `filled`: name of a comment -> roff that takes its place."""
    out: list[str] = []
    lines = text.split("\n")[1:]
    while lines:
        line = lines.pop(0)
        opens = bool(out) and out[-1].startswith((".SH", ".SS"))
        heading, comment = HEADING.match(line), FILLED.match(line)
        if line.startswith("```"):
            end = lines.index("```")
            out.append(roff.block("\n".join(lines[:end]), opens))
            del lines[: end + 1]
        elif heading:
            out.append((roff.section if len(heading[1]) == 2 else roff.subsection)(heading[2]))
        elif comment:
            out += filled[comment[1]]
        elif line.startswith("|"):
            out.append(_table([line, *_taken(lines, lambda x: x.startswith("|"))], opens))
        elif line.startswith("- "):
            out.append(roff.bullet(" ".join([line[2:], *_taken(lines, lambda x: x.startswith("  "))])))
        elif line.strip():
            paragraph = roff.inline(" ".join([line, *_taken(lines, _is_prose)]))
            out.append(paragraph if opens else f".PP\n{paragraph}")
    return out


def _is_prose(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(("#", "- ", "|", "```", "<!--"))


def _taken(lines: list[str], wanted) -> list[str]:
    """The lines at the front that are wanted, taken away."""
    end = next((i for i, line in enumerate(lines) if not wanted(line)), len(lines))
    taken = lines[:end]
    del lines[:end]
    return taken


def _table(lines: list[str], opens: bool) -> str:
    """A table of two columns is a list of tagged paragraphs; a wider one stays as it is set, its columns made equal."""
    rows = [[cell.strip().replace("\\|", "|") for cell in CELL.split(line)[1:-1]] for line in lines if not RULE.match(line)]
    if len(rows[0]) == 2:
        return "\n".join(roff.item(roff.inline(head), text) for head, text in rows[1:])
    rows = [[cell.replace("`", "") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ("  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)
    return roff.block("\n".join(padded), opens)
