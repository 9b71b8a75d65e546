"""Which files the manual is made of, and what they hold."""

from __future__ import annotations

import re
from pathlib import Path

from mma82cli.manual import completion, markdown, pages
from mma82cli.manual.table import commands

OVERVIEW = "mma82"  # the page of section 1; the other texts are tutorials, in section 7


def generated(root: Path) -> dict[str, str]:
    """{path below the checkout `root`: contents} of every generated file."""
    everything = commands()
    date = re.search(r"^date-released: (\S+)", (root / "CITATION.cff").read_text(encoding="utf-8"), re.M)[1]
    files = {f"share/man/man1/mma82-{c.name}.1": pages.command_page(c, everything, date) for c in everything}
    texts = {path: path.read_text(encoding="utf-8") for path in sorted((root / "share/doc/mma82").glob("*.md"))}
    names = {path: _place(markdown.title(text)[0]) for path, text in texts.items()}
    for path, text in texts.items():
        name, section = names[path]
        others = [f"{other}({number})" for other, number in sorted(names.values(), key=lambda x: (x[1], x[0])) if other != name]
        files[f"share/man/man{section}/{name}.{section}"] = pages.written_page(text, section, date, everything, others)
    files["share/bash-completion/completions/mma82"] = completion.bash(everything)
    files["share/zsh/site-functions/_mma82"] = completion.zsh(everything)
    files["share/fish/vendor_completions.d/mma82.fish"] = completion.fish(everything)
    return files


def _place(name: str) -> tuple[str, int]:
    return name, 1 if name == OVERVIEW else 7


def rewrite(root: Path) -> list[str]:
    """Brings the generated files below `root` up to date, and takes away pages of what is no more. -> what changed."""
    files = generated(root)
    changed = []
    for path in (root / "share/man").glob("man?/*"):
        name = str(path.relative_to(root))
        if name not in files:
            path.unlink()
            changed.append(name)
    for name, text in files.items():
        path = root / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    return changed
