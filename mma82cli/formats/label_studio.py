"""Label Studio's JSON export of videos labelled on a time line (TimelineLabels).

`ranges` are frames from 1, the last one included, and the frame rate stands in the project's configuration alone: --fps.
Seconds (`start`, `end` of Labels on a track) are taken as they are. The trap: entries without `ranges`.
"""

from __future__ import annotations

from mma82cli.formats import base
from mma82cli.records import MISSING, DataError, WrongUsage, integer, show, wrong

WHAT = "Label Studio's JSON export (an array of tasks)"
KINDS = ("timelinelabels", "labels")


class Reader(base.Reader):
    """A segment a range; the annotator is `--annotator`, or who completed the annotation."""

    def __init__(self, options):
        super().__init__(options)
        self.cancelled, self.others = 0, 0

    def entries(self, file, name: str):
        tasks = base.json_of(file.read(), WHAT)
        if not isinstance(tasks, list):
            raise DataError(f"found {show(tasks)}; expected {WHAT}")
        for i, task in enumerate(tasks, 1):
            try:
                yield from self._of_task(f"task {i}", task)
            except DataError as error:
                yield f"task {i}", (task, error)

    def _of_task(self, place: str, task):
        if not isinstance(task, dict):
            raise DataError(f"found {show(task)}; expected a task")
        video = _video(task)
        found = []
        if "annotations" not in task:  # JSON_MIN: the results lie in the task under the control's name
            results = [r for value in task.values() if isinstance(value, list) for r in value if isinstance(r, dict)]
            found += [(r, video, self._annotator(task.get("annotator"))) for r in results if any(k in r for k in KINDS)]
        for annotation in base.dicts(task.get("annotations") or [], "annotations", "a list of annotations"):
            if annotation.get("was_cancelled"):
                self.cancelled += 1
                continue
            who = self._annotator(annotation.get("completed_by"))
            for result in base.dicts(annotation.get("result") or [], "result", "a list of results"):
                if result.get("type") in KINDS:
                    found.append((result.get("value"), video, who))
                else:
                    self.others += 1
        for j, (value, *about) in enumerate(found, 1):
            many = _ranges(value)
            for span in many:
                yield f"{place}, result {j}", ((value, span), tuple(about))

    def _annotator(self, who) -> str | None:
        if isinstance(who, dict):
            who = who.get("email") or who.get("id")
        return self.options.annotator or (None if who is None else str(who))

    def record(self, entry) -> dict:
        (value, times), about = entry if isinstance(entry[1], tuple) else ((None, None), entry[1])
        if isinstance(about, DataError):
            raise about
        video, who = about
        if not isinstance(times, dict) or "start" not in times:
            raise wrong("ranges", MISSING if times is None else times, 'a list of {"start", "end"} in frames')
        names = next((value[kind] for kind in KINDS if kind in value), None)
        if not isinstance(names, list) or len(names) != 1:
            raise wrong("timelinelabels", names, "a list of one label")
        if "ranges" in value:
            if self.options.fps is None:
                raise WrongUsage("Label Studio counts in frames; expected the project's frame rate, --fps N")
            first, last = integer(times, "start", least=1), integer(times, "end", least=1)
            start, end = round((first - 1) / self.options.fps, 6), round(last / self.options.fps, 6)
        else:
            start, end = times.get("start"), times.get("end")
        label = base.label_name(names[0], self.options.labels, "timelinelabels")
        record = {"video": video, "start": start, "end": end, "label": label}
        return base.good_span(record | ({"annotator": who} if who else {}))

    def notes(self) -> list[str]:
        notes = []
        if self.cancelled:
            notes.append(f"left out {self.cancelled} annotations that were cancelled")
        if self.others:
            notes.append(f"left out {self.others} results that are no segments")
        return notes


def _ranges(value) -> list:
    """The spans of a result; [None] where it has none, so that it is named."""
    if not isinstance(value, dict):
        return [None]
    if "ranges" in value:
        return value["ranges"] if isinstance(value["ranges"], list) and value["ranges"] else [None]
    return [value if "start" in value else None]


def _video(task: dict) -> str:
    data = task.get("data") if isinstance(task.get("data"), dict) else task
    named = [data.get(name) for name in ("video", "video_url", "url")]
    others = [v for name, v in data.items() if isinstance(v, str) and "/" in v]
    value = next((v for v in (*named, *others) if isinstance(v, str) and v), None)
    if value is None:
        raise wrong("video", None, "the video's path or address in the task's data")
    return value.partition("?d=")[2] or value
