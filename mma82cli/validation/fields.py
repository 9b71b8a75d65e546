"""The faults of one record by itself: fields of the wrong type, times that can't be, unknown labels, malformed joints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mma82cli.records import MISSING, SPLITS, DataError, WrongUsage, is_number, show
from mma82cli.taxonomy import Taxonomy

TEXTS = ("id", "video", "subject", "domain", "annotator", "emotion", "layout", "instance")
ABOVE_ZERO = ("fps", "duration")
COUNTS = ("width", "height", "num_frames")
NEAR = 0.001  # seconds: times are written with three decimals
SPREAD = 0.01  # share of the frames, or two frames, by which a rate and a length may disagree


@dataclass(frozen=True)
class Fault:
    """What is wrong with a field. `fault` is a word to count by, `message` says it to a person."""

    field: str | None
    fault: str
    message: str
    value: object = MISSING

    def to_json(self, file: str, line: int) -> dict:
        """As the command writes it."""
        shown = {} if self.value is MISSING or isinstance(self.value, (list, dict)) else {"value": self.value}
        return {"file": file, "line": line, "field": self.field, "fault": self.fault, **shown, "message": self.message}


def wrong(field: str, fault: str, value, expected: str) -> Fault:
    """A fault in the words that all commands use."""
    return Fault(field, fault, f"field '{field}' is {show(value)}; expected {expected}", value)


class Fields:
    """Checks records one by one against a taxonomy."""

    def __init__(self, labels: Taxonomy, emotions: Taxonomy):
        self.labels, self.emotions = labels, emotions
        self._joints: dict[str, int | None] = {}

    def faults(self, record: dict) -> Iterator[Fault]:
        """Every fault of a record, in the order of its parts."""
        yield from self._types(record)
        of_window = "segments" in record  # its `duration` is its own length, its span lies in the file
        yield from self._times(record, None if of_window else record.get("duration"))
        yield from self._rate(record)
        yield from self._labels(record)
        for field in ("segments", "predictions"):
            if field in record:
                yield from self._inside(record, field)
        yield from self._scores(record)
        yield from self._box(record)
        if "keypoints" in record:
            yield from self._keypoints(record)

    def _types(self, record: dict) -> Iterator[Fault]:
        if record.get("video") is None and record.get("id") is None:
            yield Fault("video", "missing", "neither 'id' nor 'video'; expected at least one")
        for field in TEXTS:
            value = record.get(field, MISSING)
            if value is not MISSING and (not isinstance(value, str) or not value):
                yield wrong(field, "wrong-type", value, "a string")
        if "split" in record and record["split"] not in SPLITS:
            yield wrong("split", "unknown-split", record["split"], "train, val or test")
        for field in ABOVE_ZERO:
            value = record.get(field, MISSING)
            if value is not MISSING and (not is_number(value) or value <= 0):
                yield wrong(field, "wrong-type", value, "a number above 0")
        for field in COUNTS:
            value = record.get(field, MISSING)
            if value is not MISSING and (type(value) is not int or value < 1):
                yield wrong(field, "wrong-type", value, "an integer of at least 1")

    def _times(self, record: dict, duration, prefix: str = "") -> Iterator[Fault]:
        """Of a record or of a segment within one (`prefix` is then its place)."""
        start, end = record.get("start"), record.get("end")
        if start is None and end is None and not prefix:
            return
        good = True
        for name, value in (("start", start), ("end", end)):
            if not is_number(value):
                kind = "missing" if value is None else "wrong-type"
                yield wrong(prefix + name, kind, MISSING if value is None else value, "seconds")
                good = False
        if not good:
            return
        if start < 0:
            yield wrong(prefix + "start", "negative-time", start, "a time of at least 0 s")
        if end <= start:
            yield wrong(prefix + "end", "end-not-after-start", end, f"a time after 'start' ({start:g} s)")
        if is_number(duration) and max(start, end) > duration + NEAR:
            field = prefix + ("start" if start > duration + NEAR else "end")
            yield wrong(field, "beyond-duration", max(start, end), f"a time within the {duration:g} s of the video")

    def _rate(self, record: dict) -> Iterator[Fault]:
        """`num_frames` is of the file, or, once joints are extracted, of the clip: it must fit one of them."""
        fps, frames = record.get("fps"), record.get("num_frames")
        if not is_number(fps) or type(frames) is not int or fps <= 0 or "times" in record:
            return
        start, end, duration = record.get("start"), record.get("end"), record.get("duration")
        lengths = [duration] if is_number(duration) and duration > 0 else []
        if lengths and is_number(start) and is_number(end) and end > start:
            lengths.append(min(end, duration) - start)
        if lengths and all(abs(frames - fps * length) > max(2, SPREAD * frames) for length in lengths):
            rate = frames / lengths[0]
            yield wrong("fps", "fps-mismatch", fps, f"{rate:.6g}: {frames} frames in {lengths[0]:g} s")

    def _labels(self, record: dict) -> Iterator[Fault]:
        if record.get("label") is not None:
            yield from self._label(record["label"], "label", self.labels)
        if isinstance(record.get("emotion"), str):
            yield from self._label(record["emotion"], "emotion", self.emotions)
        actions = record.get("actions", [])
        if not isinstance(actions, list):
            yield wrong("actions", "wrong-type", actions, "a list of labels")
            return
        for i, label in enumerate(actions):
            yield from self._label(label, f"actions[{i}]", self.labels)

    def _label(self, label, field: str, labels: Taxonomy) -> Iterator[Fault]:
        try:
            labels.id(label, field)
        except DataError as error:
            yield Fault(field, "unknown-label", str(error), label)

    def _inside(self, record: dict, field: str) -> Iterator[Fault]:
        inside = record[field]
        if not isinstance(inside, list):
            yield wrong(field, "wrong-type", inside, 'a list of {"start","end","label"}')
            return
        seen = {}
        for i, segment in enumerate(inside):
            place = f"{field}[{i}]."
            if not isinstance(segment, dict):
                yield wrong(place[:-1], "wrong-type", segment, '{"start","end","label"}')
                continue
            if field == "segments":
                yield from self._times(segment, record.get("duration"), place)
                key = (show(segment.get("start")), show(segment.get("end")), show(segment.get("label")))
                first = seen.setdefault(key, i)
                if first != i:
                    yield Fault(place[:-1], "duplicate-segment", f"{place[:-1]} repeats {field}[{first}]; expected it once")
            else:
                for name in ("start", "end", "score"):
                    if not is_number(segment.get(name)):
                        yield wrong(place + name, "wrong-type", segment.get(name, MISSING), "a finite number")
            yield from self._label(segment.get("label"), place + "label", self.labels)

    def _scores(self, record: dict) -> Iterator[Fault]:
        scores, named = record.get("scores", MISSING), record.get("taxonomy")
        if scores is not MISSING:
            same = named in (None, self.labels.name)
            good = isinstance(scores, list) and all(map(is_number, scores)) and (not same or len(scores) == len(self.labels))
            if not good:
                yield wrong("scores", "malformed-scores", scores, f"{len(self.labels)} finite numbers, one a label")
        topk = record.get("topk", MISSING)
        if topk is MISSING:
            return
        if not isinstance(topk, list) or not all(isinstance(p, list) and len(p) == 2 and is_number(p[1]) for p in topk):
            yield wrong("topk", "malformed-scores", topk, "[[label, score], …]")
        elif named in (None, self.labels.name):
            for i, (label, _) in enumerate(topk):
                yield from self._label(label, f"topk[{i}]", self.labels)

    def _box(self, record: dict) -> Iterator[Fault]:
        box = record.get("box")
        if box is None:
            return
        if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)) or box[0] >= box[2] or box[1] >= box[3]:
            yield wrong("box", "malformed-box", box, "[x1,y1,x2,y2] with x1 < x2 and y1 < y2")

    # -- joints ------------------------------------------------------------------------------------------------

    def _keypoints(self, record: dict) -> Iterator[Fault]:
        from mma82cli.skeleton.keypoints import from_record

        joints = None
        if isinstance(record.get("layout"), str):
            joints = self._joints_of(record["layout"])
            if joints is None:
                yield wrong("layout", "unknown-layout", record["layout"], "a layout built in, or a file")
                record = {**record, "layout": None}
        try:
            keypoints = from_record(record, joints)
        except DataError as error:
            yield Fault("keypoints", "malformed-keypoints", str(error))
            return
        scores, frames = keypoints[..., 2], keypoints.shape[1]
        if scores.min() < 0 or scores.max() > 1:
            worst = scores.min() if scores.min() < 0 else scores.max()
            yield Fault("keypoints", "malformed-keypoints", f"a joint has the score {worst:g}; expected scores from 0 to 1")
        for field, most in (("num_frames", record.get("num_frames")), ("times", record.get("times"))):
            if field == "times" and most is not None:
                most = len(most) if isinstance(most, list) else -1
            if type(most) is int and (frames > most or (field == "times" and frames != most)):
                message = f"{frames} frames of joints, and field '{field}' has {most}; expected the same"
                yield Fault("keypoints", "frames-mismatch", message)

    def _joints_of(self, layout: str) -> int | None:
        if layout not in self._joints:
            from mma82cli.skeleton.layouts import load_layout

            try:
                self._joints[layout] = len(load_layout(layout))
            except (DataError, WrongUsage):
                self._joints[layout] = None
        return self._joints[layout]
