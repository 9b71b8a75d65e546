"""LabelU (opendatalab): its JSON export, and the pre-annotations that it takes.

An export is an array of {id, result, folder, url, fileName} whose `result` is JSON once more, written as a string:
{width, height, duration, valid, annotations: [{toolName: "videoSegmentTool", result: [{start, end, label, …}]}, …]}.
In a pre-annotation `result` is an object; its JSONL form has {sample_name, annotations: {videoSegmentTool: {result}}}.
The traps: segments that end before they begin, the label "none", skipped items (valid: false), no annotator's name; and each
upload of a video is named anew, 8 hex digits of a UUID and a dash before its own name.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from pathlib import PurePath

import orjson

from mma82cli.formats import base
from mma82cli.records import DataError, WrongUsage, is_number, show, span, wrong
from mma82cli.stream import BOM

SEGMENTS = "videoSegmentTool"
WHAT = "a LabelU export (an array of items with 'result' and 'fileName')"
UPLOAD = re.compile(r"^([0-9a-f]{8})-(?![0-9a-f]{4}-)")  # what a whole UUID is not
FILE_FIELDS = ("width", "height", "duration")


class Reader(base.Reader):
    """A record a segment. Without `--annotator` the annotator is the file's name, `a1` of `a1.json`."""

    def __init__(self, options):
        super().__init__(options)
        self.invalid, self.invalid_segments, self.others, self.uploads = 0, 0, Counter(), 0

    def entries(self, file, name: str):
        annotator = self.options.annotator or (None if name.startswith("<") else PurePath(name.removesuffix(".gz")).stem)
        items = list(_items(file.read()))
        uploads = _are_uploads([item for _, item in items])
        self.uploads += len(items) * uploads
        for place, item in items:
            try:
                yield from self._of_item(place, item, annotator, uploads)
            except DataError as error:
                yield place, (item, error)

    def _of_item(self, place: str, item, annotator, uploads: bool):
        if not isinstance(item, dict):
            raise DataError(f"found {show(item)}; expected an item with 'result' and 'fileName'")
        result = _result(item)
        video = UPLOAD.sub("", _video(item), count=1) if uploads else _video(item)
        about = {"video": video, **{f: result[f] for f in FILE_FIELDS if is_number(result.get(f)) and result[f] > 0}}
        if annotator is not None:
            about["annotator"] = annotator
        segments = [s for tool in _tools(result) for s in self._segments(tool)]
        if result.get("valid") is False:
            if not self.options.keep_invalid:
                self.invalid += 1
                self.invalid_segments += len(segments)
                return
            about["valid"] = False
        for i, segment in enumerate(segments, 1):
            yield f"{place}, segment {i}", (segment, about)

    def _segments(self, tool: dict) -> list:
        found = tool.get("result")
        if not isinstance(found, list):
            raise wrong("result", found, f"the list of what {show(tool.get('toolName'))} made")
        if tool.get("toolName") == SEGMENTS:
            return found
        self.others[str(tool.get("toolName"))] += len(found)
        return []

    def record(self, entry) -> dict:
        segment, about = entry
        if isinstance(about, DataError):
            raise about
        if not isinstance(segment, dict):
            raise DataError(f"found {show(segment)}; expected a segment with 'start', 'end' and 'label'")
        start, end = span(segment)
        duration = about.get("duration")
        if duration and start >= duration:
            raise wrong("start", start, f"a time within the video ({duration:g} s)")
        label = base.label_name(segment.get("label"), self.options.labels)
        about = dict(about)
        record = {"video": about.pop("video"), "start": start, "end": end, "label": label}
        if about.get("annotator") is not None:
            record["annotator"] = about.pop("annotator")
        if segment.get("attributes"):
            record["attributes"] = segment["attributes"]
        return record | about

    def notes(self) -> list[str]:
        notes = []
        if self.uploads:
            notes.append(f"took off the 8 digits that LabelU puts before the names of uploads ({self.uploads} items)")
        if self.invalid:
            what = f"{self.invalid} items marked valid:false, with {self.invalid_segments} segments"
            notes.append(f"left out {what} (--keep-invalid keeps them)")
        if self.others:
            notes.append(f"left out what is no segment: {', '.join(f'{n} of {tool}' for tool, n in sorted(self.others.items()))}")
        return notes


def _items(data: bytes):
    """(place, item): of an array, of the one object, or of JSON Lines."""
    lines = data.removeprefix(BOM).splitlines()
    try:
        whole = base.json_of(data, WHAT)
    except DataError:
        filled = [(i, line) for i, line in enumerate(lines, 1) if line.strip()]
        if len(filled) < 2 or filled[0][1].strip() in (b"[", b"{"):
            raise
        for number, line in filled:
            try:
                yield number, orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise base.FileError(f"broken JSON; expected {WHAT}", number, error.colno) from None
        return
    if not isinstance(whole, (list, dict)):
        raise base.FileError(f"found {show(whole)}; expected {WHAT}")
    for i, item in enumerate(whole if isinstance(whole, list) else [whole], 1):
        yield f"item {i}", item


def _result(item: dict) -> dict:
    """What an item holds: an object, a string of one, or the JSONL form's `annotations`."""
    result = item if "result" not in item and "annotations" in item else item.get("result")
    if isinstance(result, str):
        try:
            result = orjson.loads(result or "{}")
        except orjson.JSONDecodeError as error:
            raise DataError(f"'result' is broken JSON ({error.msg}); expected JSON written as a string") from None
    if not isinstance(result, dict):
        raise wrong("result", result, "an object, or JSON of one written as a string")
    return result


def _tools(result: dict) -> list[dict]:
    tools = result.get("annotations") or []
    if isinstance(tools, dict):  # the JSONL form
        tools = [{"toolName": name, **tool} for name, tool in tools.items() if isinstance(tool, dict)]
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise wrong("annotations", tools, "a list of {toolName, result}")
    return tools


def _video(item: dict) -> str:
    for name in ("fileName", "sample_name", "url"):
        value = item.get(name)
        if isinstance(value, str) and value:
            return value.rpartition("/")[2] if name == "url" else value
    raise wrong("fileName", item.get("fileName"), "the name of the video")


def _are_uploads(items: list) -> bool:
    """Whether all names begin as LabelU names uploads; digits alone may be a date."""
    found = []
    for item in items:
        with suppress(DataError, AttributeError):  # which the reading to come complains about
            found.append(UPLOAD.match(_video(item)))
    return bool(found) and all(found) and not all(match and match[1].isdigit() for match in found)


class Writer(base.VideoWriter):
    """A pre-annotation file: an array, `result` an object. It holds one annotator."""

    KEPT = frozenset({"video", "start", "end", "label", "segments", "attributes", "annotator", "valid", *FILE_FIELDS})
    FILE_FIELDS = (*FILE_FIELDS, "valid")

    def __init__(self, options, name=""):
        super().__init__(options, name)
        self.annotators, self.others = set(), 0

    def add(self, record: dict) -> bytes:
        annotator, wanted = record.get("annotator"), self.options.annotator
        if wanted is not None and annotator not in (None, wanted):
            self.others += 1
            return b""
        if annotator is not None:
            self.annotators.add(str(annotator))
        if len(self.annotators) > 1:
            names = " and ".join(map(repr, sorted(self.annotators)))
            raise WrongUsage(f"the records are of {names}, and a LabelU file holds one annotator: choose by --annotator NAME")
        return super().add(record)

    def segment(self, segment: dict, record: dict) -> dict:
        label = self.options.labels.names[base.label_id(segment, self.options.labels)]
        attributes = segment.get("attributes") or {}
        return {"start": segment["start"], "end": segment["end"], "label": label, "attributes": attributes}

    def end(self) -> bytes:
        items = []
        for i, (video, about) in enumerate(self.videos.items()):
            segments = about.pop("segments")
            numbered = [{"id": f"{i}-{j}", "type": "segment", **s, "order": j} for j, s in enumerate(segments, 1)]
            tools = [{"toolName": SEGMENTS, "result": numbered}]
            items.append({"id": i, "fileName": video, "result": {**about, "annotations": tools}})
        return base.whole_json(items)

    def notes(self) -> list[str]:
        return [f"left out {self.others} records of other annotators"] if self.others else []
