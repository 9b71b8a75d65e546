"""A folder for each label, with its clips in it; above them, if at all, folders train, val and test. The FILE is the root."""

from __future__ import annotations

import os

from mma82cli.formats import base
from mma82cli.records import DataError, show

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp")


class Reader(base.Reader):
    """A record a video file, in the order of the paths; `video` is relative to the root. Folders may be slugs
    (`Tilting_forward_backward`)."""

    def __init__(self, options):
        super().__init__(options)
        self.others = 0

    def entries(self, file, name: str):
        if not os.path.isdir(file):
            reason = "expected a folder with a folder for each label" if os.path.exists(file) else "No such file or directory"
            raise DataError(reason)
        for folder, below, files in os.walk(file, followlinks=True):
            below.sort()
            inside = os.path.relpath(folder, file).split(os.sep)
            for clip in sorted(files):
                if clip.startswith(".") or not clip.lower().endswith(VIDEOS):
                    self.others += 1
                    continue
                path = [part for part in (*inside, clip) if part != "."]
                yield "/".join(path).encode("utf-8", "replace").decode(), path

    def record(self, entry) -> dict:
        base.good_text("/".join(entry))
        *folders, _ = entry
        split = base.SPLITS.get(folders[0].casefold()) if len(folders) > 1 else None
        if len(folders) < 1 + (split is not None):
            raise DataError(f"{show(entry[-1])} lies in no folder; expected a folder for each label")
        label = base.label_name(folders[1 if split else 0], self.options.labels)
        return {"video": "/".join(entry), "label": label} | ({"split": split} if split else {})

    def notes(self) -> list[str]:
        return [f"left out {self.others} files that are no videos by their names"] if self.others else []
