"""What a stream of records amounts to: the numbers of the paper's Tables I, II and V and of Fig. 3.

A record with `segments` is an untrimmed video, and so is one with `emotion` and no label; any other is a trimmed clip with a
label. Counts add up: those of a domain are the sum of its splits', those of all the sum of the domains'.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from mma82cli import share
from mma82cli.records import SPLITS, DataError, is_number, span, text, wrong
from mma82cli.taxonomy import Taxonomy

EDGES = [round(0.1 * 2 ** (i / 4), 4) for i in range(41)]  # seconds, four bins an octave from 0.1 to 102.4
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Tally:
    """Additive counts: `hours` and `frames` are of the records that tell; `untimed` how many don't tell their length."""

    def __init__(self):
        self.clips = self.videos = self.segments = self.untimed = self.uncounted = self.frames = 0
        self.clip_seconds = self.video_seconds = 0.0
        self.subjects: set[str] = set()
        self.labels: set[int] = set()

    def add(self, other: Tally) -> None:
        """Adds another's counts to these."""
        for name, value in vars(other).items():
            mine = getattr(self, name)
            setattr(self, name, mine | value if isinstance(mine, set) else mine + value)

    def figures(self) -> dict:
        """What a row says."""
        records, timed = self.clips + self.videos, self.clips + self.videos - self.untimed
        return {
            "classes": len(self.labels), "subjects": len(self.subjects),
            "clips": self.clips, "clip_hours": round(self.clip_seconds / 3600, 4) if timed else None,
            "videos": self.videos, "video_hours": round(self.video_seconds / 3600, 4) if timed else None,
            "segments": self.segments, "instances": self.clips + self.segments,
            "hours": round((self.clip_seconds + self.video_seconds) / 3600, 4) if timed else None,
            "frames": None if self.uncounted or not records else self.frames, "untimed": self.untimed,
        }  # fmt: skip


class Statistics:
    """Takes records one by one; `rows` tells what they amount to. It holds names and durations, never a record."""

    def __init__(self, labels: Taxonomy):
        self.labels = labels
        self._cells: dict[tuple[str | None, str | None], Tally] = {}  # (domain, split)
        self._emotions: dict[str, Tally] = {}
        self._seconds = {kind: [array("d") for _ in labels.names] for kind in ("clips", "segments")}
        self._counts = {kind: [0] * len(labels) for kind in ("clips", "segments")}
        self._subjects: list[set[str]] = [set() for _ in labels.names]
        self._domains: list[set[str]] = [set() for _ in labels.names]

    def add(self, record: dict) -> None:
        """Takes a record. Raises DataError; then nothing was taken."""
        domain, split, subject, emotion = (text(record, f, None) for f in ("domain", "split", "subject", "emotion"))
        if split is not None and split not in SPLITS:
            raise wrong("split", split, "train, val or test")
        seconds = _seconds(record)
        untrimmed = "segments" in record or (emotion is not None and record.get("label") is None)
        kind = "segments" if untrimmed else "clips"
        found = self._inside(record) if untrimmed else [(self.labels.id(record.get("label")), seconds)]
        if untrimmed and seconds is None and found:
            seconds = max(s["end"] for s in record["segments"])
        cells = [self._cells.setdefault((domain, split), Tally())]
        cells += [self._emotions.setdefault(emotion, Tally())] if emotion is not None else []
        frames = _frames(record, seconds)
        for cell in cells:
            if untrimmed:
                cell.videos += 1
                cell.segments += len(found)
                cell.video_seconds += seconds or 0
            else:
                cell.clips += 1
                cell.clip_seconds += seconds or 0
            cell.untimed += seconds is None
            cell.uncounted += frames is None
            cell.frames += frames or 0
            cell.subjects |= {subject} - {None}
            cell.labels |= {label for label, _ in found}
        for label, length in found:
            self._counts[kind][label] += 1
            self._subjects[label] |= {subject} - {None}
            self._domains[label] |= {domain} - {None}
            if length is not None:
                self._seconds[kind][label].append(length)

    def _inside(self, record: dict) -> list[tuple[int, float]]:
        segments, found = record.get("segments", []), []
        if not isinstance(segments, list):
            raise wrong("segments", segments, 'a list of {"start","end","label"}')
        for i, segment in enumerate(segments):
            try:
                if not isinstance(segment, dict):
                    raise DataError('expected {"start","end","label"}')
                start, end = span(segment)
                found.append((self.labels.id(segment.get("label")), end - start))
            except DataError as error:
                raise DataError(f"segments[{i}]: {error}") from None
        return found

    def rows(self, rare: int = 0) -> Iterator[dict]:
        """The rows of every table; `rare`: labels with fewer instances than that are listed."""
        whole = Tally()
        domains = list(dict.fromkeys(domain for domain, _ in self._cells))
        for cell in self._cells.values():
            whole.add(cell)
        counts = [a + b for a, b in zip(*self._counts.values(), strict=True)]
        seen = [n for n in counts if n]
        bodies = len({self.labels.body[i] for i in whole.labels}) if self.labels.bodies else None
        figures = {"bodies": bodies, "domains": len([d for d in domains if d is not None]), **whole.figures()}
        imbalance = round(max(seen) / min(seen), 4) if seen else None
        yield {"table": "overview", "name": None, **figures, "imbalance": imbalance}
        for domain in [None, *[d for d in domains if d is not None]] if domains != [None] else [None]:
            yield from self._domain(domain)
        told = sum(cell.clips + cell.videos for cell in self._emotions.values())
        for emotion, cell in self._emotions.items():
            share_of = round((cell.clips + cell.videos) / told, 6)
            yield {"table": "emotions", "emotion": emotion, **cell.figures(), "share": share_of}
        for i, name in enumerate(self.labels.bodies):
            yield self._row("bodies", [c for c, body in enumerate(self.labels.body) if body == i], sum(counts), True) | {
                "body": name, "code": f"C{i + 1}"
            }  # fmt: skip
        for c, name in enumerate(self.labels.names):
            about = {"id": c, "label": name, "body": self.labels.group(c), "domains": len(self._domains[c])}
            yield self._row("classes", [c], sum(counts), False) | about
        for c in sorted((c for c, n in enumerate(counts) if n < rare), key=lambda c: (counts[c], c)):
            about = {"label": self.labels.names[c], "body": self.labels.group(c), "instances": counts[c]}
            yield {"table": "rare", **about, "subjects": len(self._subjects[c]), "lacking": rare - counts[c]}

    def _domain(self, domain: str | None) -> Iterator[dict]:
        """Rows of a domain (None: all), whole and by split."""
        mine = {key: cell for key, cell in self._cells.items() if domain is None or key[0] == domain}
        whole = Tally()
        for cell in mine.values():
            whole.add(cell)
        total = whole.clips + whole.segments
        for split in (None, *SPLITS):
            part = Tally()
            for (_, of), cell in mine.items():
                if split is None or of == split:
                    part.add(cell)
            if split is None or part.clips + part.videos:
                share_of = round((part.clips + part.segments) / total, 6) if total else None
                yield {"table": "domains", "domain": domain, "split": split, **part.figures(), "share": share_of}

    def _row(self, table: str, labels: list[int], total: int, histogram: bool) -> dict:
        clips, segments = (sum(self._counts[kind][c] for c in labels) for kind in ("clips", "segments"))
        subjects = set().union(*(self._subjects[c] for c in labels))
        row = {"table": table, "instances": clips + segments, "share": round((clips + segments) / total, 6) if total else None}
        row |= {"clips": clips, "segments": segments, "subjects": len(subjects)}
        for kind in ("clips", "segments"):
            lengths = array("d")
            for c in labels:
                lengths.extend(self._seconds[kind][c])
            row[kind.removesuffix("s") + "_seconds"] = _spread(lengths, histogram)
        return row


def _seconds(record: dict) -> float | None:
    """How long a clip or video is, by what it says of itself."""
    if record.get("start") is not None or record.get("end") is not None:
        start, end = span(record)
        return end - start
    duration, frames, fps = (record.get(field) for field in ("duration", "num_frames", "fps"))
    if is_number(duration) and duration > 0:
        return duration
    return frames / fps if is_number(frames) and is_number(fps) and fps > 0 else None


def _frames(record: dict, seconds: float | None) -> int | None:
    """How many frames it has: of its joints, or by its rate, or as it says."""
    if isinstance(record.get("keypoints"), list):
        return len(record["keypoints"])
    frames, fps = record.get("num_frames"), record.get("fps")
    if record.get("start") is None and is_number(frames):
        return int(frames)
    return round(seconds * fps) if is_number(fps) and seconds is not None else None


def _spread(lengths: array, histogram: bool) -> dict | None:
    """How durations spread; None without one."""
    if not lengths:
        return None
    import numpy as np

    values = np.frombuffer(lengths)
    names = {f"p{round(100 * q)}": q for q in QUANTILES}
    quantiles = dict(zip(names, np.quantile(values, QUANTILES).round(4).tolist(), strict=True))
    found = {"n": len(values), "mean": round(float(values.mean()), 4), **quantiles}
    if histogram:
        counts = np.histogram(values.clip(EDGES[0], EDGES[-1]), EDGES)[0]
        found["histogram"] = {"edges": EDGES, "counts": counts.tolist()}
    return found


def published() -> list[dict]:
    """Table I's data sets, as rows beside ours."""
    sets = share.load_json("datasets", "published", lambda data: data["datasets"])
    return [{"table": "overview", **row} for row in sets]
