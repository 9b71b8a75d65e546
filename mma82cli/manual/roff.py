"""Text to man(7): escapes, paragraphs, lists, blocks. What it makes is clean under `mandoc -Tlint`."""

from __future__ import annotations

import re
from textwrap import dedent, wrap

CODE = re.compile(r"`([^`]+)`")
BOLD = re.compile(r"\*\*([^*]+)\*\*")
SENTENCE = re.compile(r"[.?!]([\"')\]*]|\\fP)*$")
ENTRY = re.compile(r"(\s*\S(?:.*?\S)??\s{2,})(?=\S)")
SET = 69  # columns of a block on a terminal of 80
WIDER = re.compile(r"[^\x00-\x7f]")  # which mandoc reads as \[uXXXX]
WIDE = 78  # bytes of a line, with room for what shields its end
LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


def escape(text: str) -> str:
    """Plain text, nothing of it read as roff."""
    return text.replace("\\", "\\e").replace("'", "\\(aq").replace("`", "\\(ga")


def verbatim(text: str) -> str:
    """Text to be copied from a terminal: hyphens, tildes and carets are ASCII's."""
    return escape(text).replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha")


def bold(text: str) -> str:
    """Verbatim, in bold."""
    return f"\\fB{verbatim(text)}\\fP"


def italic(text: str) -> str:
    """Verbatim, in italics (a placeholder)."""
    return f"\\fI{verbatim(text)}\\fP"


def safe(line: str) -> str:
    """A line of text that does not begin like a request."""
    return "\\&" + line if line.startswith((".", "'")) else line


def folded(text: str) -> str:
    """A paragraph on lines of up to 79 bytes, none of which begins like a request or ends like a sentence before its end."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines[-1] else safe(word)
        if len(longer.encode("ascii", "backslashreplace")) + 2 * len(WIDER.findall(longer)) < WIDE:
            lines[-1] = longer
        else:
            lines.append(safe(word))
    ends = [line + "\\&" if SENTENCE.search(line) else line for line in lines[:-1]]
    return "\n".join([*ends, lines[-1]])


def inline(text: str) -> str:
    """A paragraph with `code`, **bold**, [links](to) and options set in bold."""
    text = LINK.sub(r"\1 (\2)", " ".join(text.split()))
    parts = CODE.split(text)
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = bold(part)
            continue
        pieces = re.split(r"(\*\*[^*]+\*\*|(?<![\w\-/`])--?[a-zA-Z][\w-]*)", part)
        parts[i] = "".join(bold(BOLD.sub(r"\1", piece)) if j % 2 else escape(piece) for j, piece in enumerate(pieces))
    return folded("".join(parts))


def section(title: str) -> str:
    """A section's heading."""
    return f".SH {escape(title).upper()}"


def subsection(title: str) -> str:
    """A heading below a section's."""
    return f".SS {escape(title)}"


def block(text: str, opens: bool = False) -> str:
    """Lines as they are set, indented. `opens`: it is the first in its section."""
    lines = [safe(verbatim(line)) for line in dedent(text.strip("\n")).split("\n")]
    return "\n".join([*([] if opens else [".PP"]), ".nf", ".RS 2", *lines, ".RE", ".fi"])


def item(head: str, text: str) -> str:
    """A tagged paragraph; `head` is roff already."""
    return f".TP\n{head}\n{inline(text)}"


def bullet(text: str) -> str:
    """An entry of a list."""
    return f".IP \\(bu 2\n{inline(text)}"


def narrowed(text: str) -> list[str]:
    """The lines of a list in two columns, as help shows it; where one is too long for a page, the second column is set anew."""
    lines = dedent(text).split("\n")
    if max(map(len, lines)) <= SET:
        return lines
    rows: list[list[str]] = []  # first column with its blanks, second
    for line in lines:
        entry, blank = ENTRY.match(line), len(line) - len(line.lstrip())
        if rows and not entry and rows[-1][0].strip() and blank > 6:
            rows[-1][1] += " " + line.strip()
        else:
            head = entry[1] if entry else " " * blank
            rows.append([head, line[len(head) :]])
    out = []
    for head, rest in rows:
        hang = " " * (len(head) + 2 * head.isspace())
        out += wrap(rest, SET, initial_indent=head, subsequent_indent=hang, break_on_hyphens=False) or [""]
    return out


def prose(text: str, first: bool = False) -> list[str]:
    """Paragraphs; one that begins with \\b is a block. `first`: they open a section."""
    out = []
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        if paragraph.startswith("\b"):
            out.append(block("\n".join(narrowed(paragraph.removeprefix("\b").strip("\n")))))
        elif paragraph.strip():
            out.append(inline(paragraph) if first and not out else f".PP\n{inline(paragraph)}")
    return out
