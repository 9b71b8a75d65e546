"""The recognition track of the Micro-Action Challenge: prediction.csv, alone or in a zip without folders.

2025 (and its Codabench): vid, action_pred_1..5, body_pred_1..5; body_pred_i is the group of action_pred_i, repeats and all,
as the challenge's packer does. 2024: id, pred_label_1 (body), pred_label_2 (action). `vid` is the file's name.
"""

from __future__ import annotations

from functools import cache

from mma82cli.formats import base
from mma82cli.records import DataError, WrongUsage, is_number, record_id, show, text, wrong
from mma82cli.taxonomy import Taxonomy, load_taxonomy

ACTIONS = [f"action_pred_{i}" for i in range(1, 6)]
BODIES = [f"body_pred_{i}" for i in range(1, 6)]
HEADERS = {"2025": ["vid", *ACTIONS, *BODIES], "2024": ["id", "pred_label_1", "pred_label_2"]}
RANKS = (1.0, 0.8, 0.6, 0.4, 0.2)  # scores that say no more than the order, which is all a submission holds
SIZES = {52: "ma52", 82: "mma82"}


class Reader(base.Reader):
    """A record a row: id, video, topk, taxonomy. The scores of topk only say the order."""

    def __init__(self, options):
        super().__init__(options)
        self.other_bodies = 0

    def entries(self, file, name: str):
        _, table = base.rows(file)
        header = [cell.strip() for cell in next(table, (1, []))[1]]
        year = next((year for year, columns in HEADERS.items() if set(columns) <= set(header)), None)
        if year is None:
            expected = ", ".join(HEADERS["2025"])
            raise base.FileError(f"the columns are {show(header)}; expected {expected}, or those of 2024", 1)
        for number, cells in table:
            yield number, (base.row_of(header, cells), year)

    def record(self, entry) -> dict:
        row, year = base.good_row(entry[0]), entry[1]
        labels = self.options.labels
        wanted = (ACTIONS, BODIES) if year == "2025" else (["pred_label_2"], ["pred_label_1"])
        best = [labels.id(base.to_integer(row.get(column, ""), column), column) for column in wanted[0]]
        bodies = [base.to_integer(row.get(column, ""), column) for column in wanted[1]]
        if len(set(best)) != len(best):
            raise DataError(f"the actions are {show(best)}; expected five different ones")
        if labels.bodies:
            self.other_bodies += bodies != [labels.body[i] for i in best]
        name = text(row, HEADERS[year][0])
        topk = [[labels.names[i], rank] for i, rank in zip(best, RANKS, strict=False)]
        return {"id": name, "video": name, "topk": topk, "taxonomy": labels.name}

    def notes(self) -> list[str]:
        if self.other_bodies:
            return [f"{self.other_bodies} rows name body groups that are not those of their actions; only the actions were kept"]
        return []


class Writer(base.Writer):
    """A row a record, from `scores` or `topk`; equal scores count by label id. Labels are MA-52's unless `--taxonomy`, the
    record's `taxonomy` or the number of its scores says otherwise."""

    KEPT = frozenset({"id", "video", "label", "scores", "topk", "taxonomy", "scores_kind"})
    MEMBER = "prediction.csv"

    def __init__(self, options, name=""):
        super().__init__(options, name)
        self.seen: set[str] = set()

    def begin(self) -> bytes:
        return base.cells(HEADERS[self.options.challenge])

    def add(self, record: dict) -> bytes:
        labels = taxonomy_of(record, self.options)
        if not labels.bodies:
            raise WrongUsage(f"taxonomy {labels.name} has no body groups; expected one that has")
        wanted = 5 if self.options.challenge == "2025" else 1
        best = _best(record, labels)[:wanted]
        if len(best) < wanted:
            raise wrong("topk", record.get("topk"), f"at least {wanted} labels")
        name = _file_name(record)
        if name in self.seen:
            raise DataError(f"{show(name)} comes a second time; expected each clip once")
        self.seen.add(name)
        bodies = [labels.body[i] for i in best]
        return base.cells([name, *best, *bodies] if wanted == 5 else [name, *bodies, *best])


def _file_name(record: dict) -> str:
    """The name of the clip's file; a part of a file goes by its id."""
    if record.get("start") is None and record.get("video") is not None:
        return text(record, "video").rpartition("/")[2]
    return record_id(record)


def taxonomy_of(record: dict, options) -> Taxonomy:
    """The labels that a prediction is made of."""
    if options.asked:
        return options.labels
    scores = record.get("scores")
    name = record.get("taxonomy") or (SIZES.get(len(scores)) if isinstance(scores, list) else None)
    if name is None or name == options.labels.name:
        return options.labels
    return _built_in(str(name))


@cache
def _built_in(name: str) -> Taxonomy:
    return load_taxonomy(name)


def _best(record: dict, labels: Taxonomy) -> list[int]:
    """Label ids, best first."""
    scores = record.get("scores")
    if scores is not None:
        good = isinstance(scores, list) and len(scores) == len(labels) and all(map(is_number, scores))
        if not good:
            raise wrong("scores", scores, f"{len(labels)} finite numbers, one a label of {labels.name} (or another --taxonomy)")
        return sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    topk = record.get("topk")
    if not isinstance(topk, list) or not all(isinstance(p, list) and len(p) == 2 and is_number(p[1]) for p in topk):
        raise wrong("topk", topk, "[[label, score], …], or 'scores'")
    pairs = sorted((-score, labels.id(label, "topk")) for label, score in topk)
    return [label for _, label in pairs]
