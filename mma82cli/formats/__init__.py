"""Other people's formats, one a file: each reads to records, writes from them, or both.

A format's module holds `Reader`, `Writer` or both (see `base`). Importing this package imports none of them.
"""

from __future__ import annotations

from importlib import import_module

FORMATS = {  # name: (module, reads, writes: "lines", "file" (which needs -o) or None)
    "labelu": ("labelu", True, "file"),
    "elan": ("elan", True, "file"),
    "label-studio": ("label_studio", True, None),
    "ma52": ("ma52", True, "lines"),
    "mma52": ("mma52", True, "lines"),
    "mac-mar": ("mac_mar", True, "lines"),
    "mac-mmad": ("mac_mmad", True, "lines"),
    "activitynet": ("activitynet", True, "file"),
    "pyskl": ("pyskl", True, "file"),
    "epic": ("epic", True, "lines"),
    "list": ("lists", True, "lines"),
    "tree": ("tree", True, None),
    "csv": ("table", True, "lines"),
}


def module(name: str):
    """The module of a format, imported now."""
    return import_module(f"mma82cli.formats.{FORMATS[name][0]}")
