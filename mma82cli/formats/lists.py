"""Lists of `path label`, a clip a line; the label an id or a name."""

from __future__ import annotations

from mma82cli.formats import base
from mma82cli.records import DataError, show, text


def parts(line: str) -> tuple[str, str]:
    """A line's path and label, the label being what follows a tab, or the number that ends the line, or nothing."""
    if "\t" in line:
        path, _, label = line.partition("\t")
        return path.strip(), label.strip()
    path, _, label = line.rpartition(" ")
    return (path.strip(), label) if path.strip() and label.isdigit() else (line, "")


class Reader(base.Reader):
    """The label is what follows a tab, or the number that ends the line, or all after the first blank."""

    def entries(self, file, name: str):
        for number, raw in enumerate(file, 1):
            if raw.strip():
                yield number, (raw, number)

    def record(self, entry) -> dict:
        line = base.text_of(*entry).strip()
        path, label = parts(line)
        if not label and "\t" not in line:
            path, _, label = line.partition(" ")
            label = label.strip()
        if not path or not label:
            raise DataError(f"found {show(line)}; expected a path and a label")
        return {"video": path, "label": base.label_name(label, self.options.labels, first=self.options.first_id)}


class Writer(base.Writer):
    """`path id`."""

    KEPT = frozenset({"video", "label"})
    WHAT = "a list"

    def add(self, record: dict) -> bytes:
        base.whole_file(record, self.WHAT)
        path = text(record, "video")
        if path != " ".join(path.split()):
            raise DataError(f"field 'video' is {show(path)}; expected a path without tabs, line breaks or double blanks")
        return f"{path} {base.label_id(record, self.options.labels)}\n".encode()
