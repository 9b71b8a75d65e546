"""DETAD's definition in plain Python, a prediction at a time: what the vectorised diagnosis has to equal."""

from math import inf, nan

BORDERS = {  # lower and upper ends, the upper included
    "coverage": [0, 0.2, 0.4, 0.6, 0.8, 1],
    "length": [0, 3, 6, 12, 18, inf],
    "num-instances": [-1, 1, 4, 8, inf],
}


def plain_tiou(a: dict, b: dict) -> float:
    shared = min(a["end"], b["end"]) - max(a["start"], b["start"])
    return 0.0 if shared <= 0 else shared / ((a["end"] - a["start"]) + (b["end"] - b["start"]) - shared)


class PlainDiagnosis:
    """All figures of `records`: {(analysis, axis, bucket, error, tiou): value}, NaN where there is nothing to average."""

    def __init__(self, records: list[dict], tious: list[float]):
        self.tious, self.truth, self.figures = tious, [], {}
        for record in sorted(records, key=lambda r: r["id"]):
            for s in record["segments"]:
                length = s["end"] - s["start"]
                if 0 < length <= record["duration"]:
                    axes = {"coverage": length / record["duration"], "length": length, "num-instances": len(record["segments"])}
                    self.truth.append({**s, **axes, "video": record["id"]})
        labels = sorted({g["label"] for g in self.truth})
        self.positives = {c: sum(g["label"] == c for g in self.truth) for c in labels}
        self.N = len(self.truth) / len(labels)
        found = [{**p, "video": r["id"]} for r in sorted(records, key=lambda r: r["id"]) for p in r["predictions"]]
        found.sort(key=lambda p: -p["score"])
        self.predictions = {c: [p for p in found if p["label"] == c] for c in labels}
        for c in labels:
            for rank, p in enumerate(self.predictions[c]):
                p["rank"] = rank
            for t in tious:
                self.match(self.predictions[c], [g for g in self.truth if g["label"] == c], t)
        self.base()
        self.false_negatives()
        self.false_positives()
        self.sensitivity()

    def match(self, predictions: list[dict], truth: list[dict], t: float) -> None:
        taken = set()
        for p in predictions:
            free = [(plain_tiou(p, g), i) for i, g in enumerate(truth) if g["video"] == p["video"] and i not in taken]
            best, i = max(free, default=(-1, -1))
            p.setdefault("match", {})[t] = truth[i] if best >= t else None
            if best >= t:
                taken.add(i)

    def precisions(self, hits: list[bool], positives: int) -> list[float]:
        right = wrong = 0
        result = []
        for hit in hits:
            right, wrong = right + hit, wrong + (not hit)
            recall = right / positives * self.N
            result.append(recall / (recall + wrong))
        return result

    def ap(self, hits: list[bool], positives: int) -> float:
        precisions = self.precisions(hits, positives)
        return sum(max(precisions[i:]) / positives for i, hit in enumerate(hits) if hit)

    def mean_ap(self, choose, t: float) -> float:
        """`choose(prediction)`: whether it is in the ranking."""
        chosen = {c: [p["match"][t] is not None for p in ps if choose(p)] for c, ps in self.predictions.items()}
        return sum(self.ap(hits, self.positives[c]) for c, hits in chosen.items()) / len(chosen)

    def add(self, analysis, values, axis=None, bucket=None, error=None) -> None:
        values = list(values)
        for t, value in zip([*self.tious, "avg"], [*values, sum(values) / len(values)], strict=True):
            self.figures[analysis, axis, bucket, error, t] = value

    def base(self) -> None:
        self.add("base", (self.mean_ap(lambda p: True, t) for t in self.tious))
        self.add("base", (self.mean_ap(self.ranked, t) for t in self.tious), "rank", "1G-10G")

    def ranked(self, p: dict) -> bool:
        return p["rank"] < 10 * self.positives[p["label"]]

    def buckets(self):
        for axis, borders in BORDERS.items():
            for name, low, high in zip(["XS", "S", "M", "L", "XL"], borders, borders[1:], strict=False):
                yield axis, name, [g for g in self.truth if low < g[axis] <= high]

    def false_negatives(self) -> None:
        hit = {t: set() for t in self.tious}
        for t in self.tious:
            for c, predictions in self.predictions.items():
                precisions = self.precisions([p["match"][t] is not None for p in predictions], self.positives[c])
                pairs = zip(predictions, precisions, strict=True)
                hit[t] |= {id(p["match"][t]) for p, precision in pairs if p["match"][t] and precision > 0.05}
        for axis, name, members in [*self.buckets(), (None, None, self.truth)]:
            missed = (sum(id(g) not in hit[t] for g in members) for t in self.tious)
            self.add("false-negative", (n / len(members) if members else nan for n in missed), axis, name)

    def error(self, p: dict, t: float) -> str | None:
        if p["match"][t]:
            return None
        near = [g for g in self.truth if g["video"] == p["video"]]
        top = max(near, key=lambda g: plain_tiou(p, g), default=None)  # the first of equal ones
        overlap = plain_tiou(p, top) if top else 0
        same = top and top["label"] == p["label"]
        if overlap >= t:
            return "double" if same else "wrong-label"
        if overlap < 0.1:
            return "background"
        return "localization" if same else "confusion"

    def false_positives(self) -> None:
        ranked = [p for ps in self.predictions.values() for p in ps if self.ranked(p)]
        slices = {f"{k + 1}G": [p for p in ranked if p["rank"] // self.positives[p["label"]] == k] for k in range(10)}
        for error in ("double", "wrong-label", "localization", "confusion", "background", None):
            for bucket, members in [*slices.items(), ("1G-10G", ranked)]:
                of = (sum(self.error(p, t) == error for p in members) for t in self.tious)
                self.add("false-positive", (n / len(members) if members else nan for n in of), "rank", bucket, error)
            if error:
                gains = []
                for t in self.tious:
                    without = self.mean_ap(lambda p, t=t, e=error: self.ranked(p) and self.error(p, t) != e, t)
                    gains.append(without - self.mean_ap(self.ranked, t))
                self.add("impact", gains, error=error)

    def sensitivity(self) -> None:
        for axis, name, members in self.buckets():
            inside = {id(g) for g in members}
            sizes = {c: sum(g["label"] == c for g in members) for c in self.positives}
            values = []
            for t in self.tious:
                aps = []
                for c in filter(sizes.get, sizes):
                    own = [p for p in self.predictions[c] if all(m is None or id(m) in inside for m in p["match"].values())]
                    aps.append(self.ap([p["match"][t] is not None for p in own], sizes[c]))
                values.append(sum(aps) / len(aps) if aps else nan)
            self.add("sensitivity", values, axis, name)
