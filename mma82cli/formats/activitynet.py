"""ActivityNet's JSON, which OpenTAD and ActionFormer read: truth in "database", detections in "results"; one file may hold
both, for each reader looks for its own key. PointTAD's mmad.json ({video: {subset, duration, actions}}) is read too."""

from __future__ import annotations

from typing import Any

from mma82cli.formats import base
from mma82cli.records import DataError, is_number, number, record_id, show, wrong

WHAT = '{"database": {…}} or {"results": {…}}'
ENTRIES = 'a list of {"segment": [start, end], "label"}'
PREDICTIONS = 'a list of {"start","end","label","score"}'
SUBSETS = {"train": "training", "val": "validation", "test": "testing"}


class Reader(base.Reader):
    """A record a video: id, video, split, duration, num_frames, fps, segments, predictions."""

    def entries(self, file, name: str):
        whole = base.json_of(file.read(), WHAT)
        if not isinstance(whole, dict) or not whole:
            raise DataError(f"found {show(whole)}; expected {WHAT}")
        pointtad = all(isinstance(v, dict) and "actions" in v for v in whole.values())
        truth, results = (whole, {}) if pointtad else (whole.get("database") or {}, whole.get("results") or {})
        if not isinstance(truth, dict) or not isinstance(results, dict) or not (truth or results):
            raise DataError(f"found the keys {show(list(whole))}; expected {WHAT}")
        for video in {**truth, **results}:
            yield f"video {video}", (video, truth.get(video), results.get(video))

    def record(self, entry) -> dict:
        video, truth, results = entry
        record = {"id": video, "video": video}
        if truth is not None:
            record |= self._truth(truth)
        if results is not None:
            record["predictions"] = [self._segment(r, True) for r in base.dicts(results, video, ENTRIES)]
        return record

    def _truth(self, entry) -> dict:
        if not isinstance(entry, dict):
            raise DataError(f"found {show(entry)}; expected an object with 'annotations'")
        record = {"video": entry["video"]} if isinstance(entry.get("video"), str) else {}
        subset = entry.get("subset")
        if subset is not None:
            record["split"] = base.SPLITS.get(str(subset).casefold(), str(subset))
        fields = (("duration", "duration"), ("num_frames", "frame"), ("num_frames", "num_frames"), ("fps", "fps"))
        for field, theirs in fields:
            if is_number(entry.get(theirs)):
                record[field] = entry[theirs]
        if "actions" in entry:
            if not isinstance(entry["actions"], list):
                raise wrong("actions", entry["actions"], "a list of [class, start, end]")
            segments = [self._action(action) for action in entry["actions"]]
        else:
            segments = [self._segment(a, False) for a in base.dicts(entry.get("annotations", []), "annotations", ENTRIES)]
        return {**record, "segments": segments}

    def _segment(self, entry: dict, scored: bool) -> dict:
        times = entry.get("segment")
        if not isinstance(times, list) or len(times) != 2:
            raise wrong("segment", times, "[start, end] in seconds")
        segment = {"start": times[0], "end": times[1]}
        segment["label"] = base.label_name(entry.get("label"), self.options.labels)
        if scored:  # detections are what a network gave: an evaluator judges them
            number(segment, "start")
            number(segment, "end")
            return {**segment, "score": number(entry, "score")}
        return base.good_span(segment)

    def _action(self, action) -> dict:
        """PointTAD's [class, start, end]."""
        if not isinstance(action, list) or len(action) != 3:
            raise DataError(f"found {show(action)}; expected [class, start, end]")
        label = base.label_name(action[0], self.options.labels, "class")
        return base.good_span({"start": action[1], "end": action[2], "label": label})


class Writer(base.VideoWriter):
    """One file: "database" where there is truth, "results" where there are predictions. Segments that come one a record are
    gathered by video."""

    KEPT = frozenset(
        {"id", "video", "start", "end", "label", "segments", "predictions", "split", "duration", "num_frames", "fps"}
    )  # fmt: skip
    FILE_FIELDS = ("video", "split", "duration", "num_frames", "fps")

    def __init__(self, options, name=""):
        super().__init__(options, name)
        self.results: dict[str, list[dict]] = {}

    def key(self, record: dict) -> str:
        whole = record.get("start") is None or "video" not in record
        return record_id(record) if whole else record["video"]

    def add(self, record: dict) -> bytes:
        predictions = record.get("predictions")
        if predictions is not None:
            key = self.key(record)
            if key in self.results:
                raise DataError(f"predictions for {show(key)} come a second time; expected them in one record")
            found = [self._prediction(p) for p in base.dicts(predictions, "predictions", PREDICTIONS)]
        if predictions is None or record.get("segments") is not None:
            super().add(record)
        if predictions is not None:
            self.results[key] = found
        return b""

    def segment(self, segment: dict, record: dict) -> dict:
        label = self.options.labels.names[base.label_id(segment, self.options.labels)]
        return {"segment": [segment["start"], segment["end"]], "label": label}

    def _prediction(self, p: dict) -> dict:
        label = self.options.labels.names[base.label_id(p, self.options.labels)]
        return {"segment": [number(p, "start"), number(p, "end")], "label": label, "score": number(p, "score")}

    def end(self) -> bytes:
        whole: dict[str, Any] = {"version": self.options.labels.name}
        if self.videos or not self.results:
            whole["database"] = {key: self._entry(key, about) for key, about in self.videos.items()}
        if self.results:
            whole |= {"results": self.results, "external_data": {}}
        return base.whole_json(whole)

    def _entry(self, key: str, about: dict) -> dict:
        entry = {} if about.get("video", key) == key else {"video": about["video"]}
        if "split" in about:
            entry["subset"] = SUBSETS.get(about["split"], about["split"])
        names = {"duration": "duration", "num_frames": "frame", "fps": "fps"}
        entry |= {theirs: about[field] for field, theirs in names.items() if field in about}
        return {**entry, "annotations": about["segments"]}
