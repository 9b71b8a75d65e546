"""The detection track of the Micro-Action Challenge: a csv of `,video_id,t_start,t_end,class,score`, seconds and label ids,
the first column an index without a name."""

from __future__ import annotations

from mma82cli.formats import base
from mma82cli.formats.mac_mar import taxonomy_of
from mma82cli.records import number, record_id, text, wrong

HEADER = ["", "video_id", "t_start", "t_end", "class", "score"]


class Reader(base.Reader):
    """A record a video, with its predictions, best first; videos in order of first appearance."""

    def __init__(self, options):
        super().__init__(options)
        self.videos: dict[str, list[dict]] = {}

    def entries(self, file, name: str):
        return base.named_rows(file, tuple(HEADER[1:]))

    def record(self, entry) -> None:
        base.good_row(entry)
        labels = self.options.labels
        start, end, score = (base.to_number(entry[column], column) for column in ("t_start", "t_end", "score"))
        label = labels.names[labels.id(base.to_integer(entry["class"], "class"), "class")]
        found = {"start": start, "end": end, "label": label, "score": score}
        self.videos.setdefault(text(entry, "video_id"), []).append(found)

    def rest(self):
        for video, predictions in self.videos.items():
            best_first = sorted(predictions, key=lambda p: -p["score"])
            yield {"id": video, "video": video, "predictions": best_first, "taxonomy": self.options.labels.name}


class Writer(base.Writer):
    """A row a prediction."""

    KEPT = frozenset({"id", "video", "predictions", "taxonomy", "segments"})
    MEMBER = "prediction.csv"

    def begin(self) -> bytes:
        return base.cells(HEADER)

    def add(self, record: dict) -> bytes:
        labels, video = taxonomy_of(record, self.options), record_id(record)
        predictions = record.get("predictions")
        if not isinstance(predictions, list) or not all(isinstance(p, dict) for p in predictions):
            raise wrong("predictions", predictions, 'a list of {"start","end","label","score"}')
        rows = []
        for p in predictions:
            rows.append([video, number(p, "start"), number(p, "end"), base.label_id(p, labels), number(p, "score")])
        numbered = enumerate(rows, self.written)
        self.written += len(rows)
        return b"".join(base.cells([i, *row]) for i, row in numbered)
