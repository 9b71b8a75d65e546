"""Text to man(7): escapes, paragraphs, lists, blocks. What it makes is clean under `mandoc -Tlint`."""

from __future__ import annotations

import re

CODE = re.compile(r"`([^`]+)`")
OPTION = re.compile(r"(?<![\w\-/`])(--?[a-zA-Z][\w-]*)")
BOLD = re.compile(r"\*\*([^*]+)\*\*")
SENTENCE = re.compile(r"[.?!]([\"')\]*]|\\fP)*$")
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
    lines = [safe(verbatim(line)) for line in text.strip("\n").split("\n")]
    return "\n".join([*([] if opens else [".PP"]), ".nf", ".RS 4", *lines, ".RE", ".fi"])


def item(head: str, text: str) -> str:
    """A tagged paragraph; `head` is roff already."""
    return f".TP\n{head}\n{inline(text)}"


def bullet(text: str) -> str:
    """An entry of a list."""
    return f".IP \\(bu 2\n{inline(text)}"


def prose(text: str, first: bool = False) -> list[str]:
    """Paragraphs; one that begins with \\b is a block. `first`: they open a section."""
    out = []
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        if paragraph.startswith("\b"):
            out.append(block(paragraph.removeprefix("\b").strip("\n")))
        elif paragraph.strip():
            out.append(inline(paragraph) if first and not out else f".PP\n{inline(paragraph)}")
    return out
