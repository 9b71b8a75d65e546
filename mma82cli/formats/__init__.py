"""Other people's formats, one a file: each reads to records, writes from them, or both.

A format's module holds `Reader`, `Writer` or both (see `base`). Importing this package imports none of them.
"""

from __future__ import annotations

from importlib import import_module

FORMATS = {  # name: (module, reads, writes: "lines", "file" (which needs -o) or None, words)
    "labelu": ("labelu", True, "file", "LabelU's export in; a pre-annotation out (one annotator)"),
    "elan": ("elan", True, "file", ".eaf, a tier an annotator; several videos: -o FILE.zip"),
    "label-studio": ("label_studio", True, None, "in: tasks with timelinelabels, in frames: --fps"),
    "ma52": ("ma52", True, "lines", "MA-52's lists, `0003_01_0001.mp4 9`; in: label_name.txt too"),
    "mma52": ("mma52", True, "lines", "MMA-52's csv, in frames"),
    "mac-mar": ("mac_mar", True, "lines", "the challenge's prediction.csv, from scores or topk; zipped where -o ends in .zip"),
    "mac-mmad": ("mac_mmad", True, "lines", "the same for detection, from predictions"),
    "activitynet": (
        "activitynet", True, "file",
        '{"database"} and {"results"}, as ActivityNet and OpenTAD read them; in: PointTAD\'s too',
    ),
    "pyskl": (
        "pyskl", True, "file", "pickles of joints, of pyskl and mmaction2; in: through an unpickler that runs nothing",
    ),
    "epic": ("epic", True, "lines", "EPIC-KITCHENS' csv"),
    "scores": (
        "scores", True, None,
        "in: what a network says of clips, a row each, as .npy, .npz, .pt, result.pkl of mmaction2 or pyskl, or JSON; --names",
    ),
    "list": ("lists", True, "lines", "`path label` a line"),
    "tree": ("tree", True, None, "in: a folder for each label (FILE is the folder above)"),
    "csv": (
        "table", True, "lines",
        "any table, comma, semicolon or tab; of predictions: --columns id=clip,scores=FIRST..LAST or topk=predicted; rows "
        "that differ in actions alone are one clip; out: tabs where -o ends in .tsv",
    ),
}  # fmt: skip


def module(name: str):
    """The module of a format, imported now."""
    return import_module(f"mma82cli.formats.{FORMATS[name][0]}")
