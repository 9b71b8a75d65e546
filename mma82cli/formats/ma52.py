"""MA-52's lists, `0003_01_0001.mp4 9`, and its table of labels, `9<tab>tilting head`.

The trap: the list of the test split carries the label 0 for every clip.
"""

from __future__ import annotations

import re

from mma82cli.formats import base, lists

LABEL = re.compile(rb"\s*(\d+)\t\s*(\D.*)")


class Reader(lists.Reader):
    """A record a clip; lines of label_name.txt become a label each: id, label, body."""

    def __init__(self, options):
        super().__init__(options)
        self.read, self.zeros = 0, 0

    def record(self, entry) -> dict:
        raw, number = entry
        found = LABEL.match(raw)
        if found:
            labels = self.options.labels
            label = labels.id(base.text_of(found[2], number).strip())
            return {"id": int(found[1]), "label": labels.names[label], "body": labels.group(label)}
        record = super().record(entry)
        self.read += 1
        self.zeros += record["label"] == self.options.labels.names[0]
        return record

    def notes(self) -> list[str]:
        if self.read > 1 and self.zeros == self.read:
            return [f"all {self.read} clips have label 0: the test list of MA-52 holds dummies"]
        return []


class Writer(lists.Writer):
    """`path id`."""

    WHAT = "MA-52's list"
