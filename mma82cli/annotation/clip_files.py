"""Clips and windows as files of their own: written once, listed in their folder, and their records made to fit them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import orjson

from mma82cli.appending import Appended
from mma82cli.records import DataError, show, video_path, warnings_of
from mma82cli.stream import WRITE
from mma82cli.video import Reader
from mma82cli.video.writer import Clip, to_clip_time, write_clip

LIST = "files.jsonl"  # in the folder: a line a whole file, appended when it is there
LATE = 2.0  # frames by which a clip may end before its time


class ClipFiles:
    """Writes the clips of videos below `root` into `folder`; what the folder's list has is not written again.

    suffix  .mp4, or .avi: without loss
    Raises WrongUsage where another run writes into the folder, DataError where the list is none.
    """

    def __init__(self, root: str, folder: str, suffix: str):
        self.root, self.folder, self.suffix = root, Path(folder), suffix
        self.written = self.kept = 0
        self._reader = Reader()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._list = Appended(self.folder / LIST)
        self._known: dict[str, dict] = {}
        for place, raw in self._list.lines():  # the clip of a torn line is written again
            try:
                entry = orjson.loads(raw)
                self._known[entry["file"]] = entry
            except (orjson.JSONDecodeError, KeyError, TypeError):
                raise DataError(f"{place}: not a line of the list of an earlier run") from None

    def __call__(self, record: dict) -> dict:
        """The record of a clip or window by reference, as one of a file. Raises DataError."""
        origin = {field: record[field] for field in ("video", "start", "end")}
        name = str(self._name(record))
        clip = self._clip(name, origin)
        fields = {"fps": clip.fps, "width": clip.width, "height": clip.height}
        fields |= {"duration": round(len(clip.times) / clip.fps, 6), "num_frames": len(clip.times)}
        made = {k: v for k, v in record.items() if k not in ("start", "end")} | {"video": name} | fields
        if "segments" in record:
            made["segments"] = [_moved(s, record["start"], clip) for s in record["segments"]]
        late = record["end"] - clip.times[-1]
        if late * clip.fps > LATE:
            said = f"the file's last frame is at {clip.times[-1]:g} s; the clip was to end at {record['end']:g} s"
            made["warnings"] = [*warnings_of(made), said]
        return made | {"cut_from": origin}

    def _name(self, record: dict) -> PurePosixPath:
        path = PurePosixPath(record["video"])
        label = "" if "segments" in record else "_" + record["id"].rpartition("#")[2].replace("/", "-")
        folders = [part for part in path.parts[:-1] if part not in ("/", "..")]
        return PurePosixPath(*folders, f"{path.stem}_{record['start']:.3f}-{record['end']:.3f}{label}{self.suffix}")

    def _clip(self, name: str, origin: dict) -> Clip:
        path = self.folder / name
        known = self._known.get(name)
        if known and known["cut_from"] != origin:
            raise DataError(f"{path} is there already, cut from {show(known['cut_from'], 200)}; expected another --write DIR")
        if known and path.is_file():
            self.kept += 1
            return Clip(known["fps"], known["width"], known["height"], known["times"])
        clip = write_clip(self._reader.open(video_path(origin, self.root)), origin["start"], origin["end"], path)
        self._known[name] = {"file": name, "cut_from": origin, **clip._asdict()}
        self._list.append(orjson.dumps(self._known[name], option=WRITE))
        self.written += 1
        return clip


def _moved(segment: dict, begin: float, clip: Clip) -> dict:
    """The segment of a window in the time of its file. Raises DataError."""
    start, end = to_clip_time([segment["start"] + begin, segment["end"] + begin], clip)
    if start >= end:
        raise DataError(f"the segment at {segment['start'] + begin:g} s has no frame in the file; expected one")
    return {**segment, "start": start, "end": end}
