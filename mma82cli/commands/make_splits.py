"""`mma82 make-splits`: subject-exclusive splits, and the zero-shot and few-shot protocols (Section IV and V)."""

from __future__ import annotations

import tempfile
from typing import Annotated

import typer

from mma82cli.commands.options import Seed, choice, command

ADDED = ("split", "support_runs", "protocol")
SPOOL = 1 << 28  # bytes of the stream held in memory; beyond that in a temporary file

Protocol = choice("in-domain", "zero-shot", "few-shot")
Ratio = Annotated[str, typer.Option("--ratio", metavar="A:B:C", help="shares of train, val and test")]
Group = Annotated[str, typer.Option("--group", metavar="FIELD", help="field whose values are never split")]
Stratify = Annotated[str, typer.Option("--stratify", metavar="FIELD", help="field whose values every split has alike")]
Within = Annotated[str, typer.Option("--within", metavar="FIELD", help="field in each of whose values the ratio holds")]
Like = Annotated[str, typer.Option("--like", metavar="FILE", show_default=False, help="groups stay where they are in FILE")]
Check = Annotated[bool, typer.Option("--check", help="change nothing; fail where a group is in two splits")]
ReportFile = Annotated[str, typer.Option("--report", metavar="FILE", show_default=False, help="write Table II or V here")]
ProtocolOption = Annotated[Protocol, typer.Option("--protocol", help="zero-shot, few-shot: other domains are test")]
Source = Annotated[list[str], typer.Option("--source", metavar="DOMAIN", show_default=False, help="domain to train on")]
Target = Annotated[
    list[str], typer.Option("--target", metavar="DOMAIN", show_default=False, help="domain to test on; none: all others")
]
Shots = Annotated[int, typer.Option("--shots", metavar="K", min=1, help="support clips a class")]
Runs = Annotated[int, typer.Option("--runs", metavar="R", min=1, help="draws of the support")]


@command(
    example="mma82 make-splits --protocol zero-shot --source laboratory clips.jsonl > splits.jsonl",
    takes="id subject label domain split segments",
    adds="split protocol support_runs",
)
def run(
    pipe,
    ratio: Ratio = "3:1:1",
    group: Group = "subject",
    stratify: Stratify = "label",
    within: Within = "domain",
    like: Like = None,
    seed: Seed = 0,
    check: Check = False,
    report: ReportFile = None,
    protocol: ProtocolOption = Protocol("in-domain"),
    source: Source = None,
    target: Target = None,
    shots: Shots = 5,
    runs: Runs = 20,
) -> None:
    """Add 'split' (train, val, test) to every record. Every group (subject) is in one split only; the ratio, the classes
    and the ratio in every domain are brought as near to what is wanted as indivisible groups allow. Records with
    'segments' count their segments.

    zero-shot and few-shot split the source domains so and put every clip of the target domains in test. few-shot adds
    'support_runs', the runs (from 0) in which a target clip is support: min(K, n-1) of n clips of a domain and class.
    Both add 'protocol' (in-domain, zero-shot, few-shot), so that `score --by protocol` keeps their results apart."""
    from mma82cli.protocol.counting import Clips
    from mma82cli.protocol.plan import Plan, parse_ratio

    shares = parse_ratio(ratio)
    plan = Plan(protocol.value, source or [], target or [], shots, runs, seed, within)
    plan.check()
    clips = Clips(group, stratify, within)
    with tempfile.SpooledTemporaryFile(SPOOL) as spool:
        held = _read(pipe, clips, spool, check)
        if check:
            splits = held
            _check(pipe, clips, splits)
        else:
            made = plan.make(clips, shares, _like(like, group) if like else {})
            splits = made.splits
            for note in made.notes:
                pipe.note(note)
        if report:
            _report(pipe, report, clips, splits, shares)
        if not check:
            spool.seek(0)
            for raw, stale, *values in zip(spool, held, splits, made.support, made.protocols, strict=True):
                pipe.out.write(_with(raw, stale is not None, dict(zip(ADDED, values, strict=True))))


def _read(pipe, clips, spool, check: bool) -> list[str | None]:
    """Counts every record and keeps its line. Returns for each, with `check`, its split; else a field that it has of
    those that will be added, or None."""
    from mma82cli.records import DataError, wrong
    from mma82cli.stream import BOM, Line, parse

    held = []
    for file, number, raw in pipe.progress(pipe.input()):
        try:
            record = parse(raw, number)
        except DataError as error:
            pipe.reject(Line(raw.decode("utf-8", "replace").strip(), file, number), error)
            continue
        try:
            split = record.get("split")
            if check and split not in ("train", "val", "test"):
                raise wrong("split", split, "train, val or test")
            clips.add(record, f"{file}:{number}")
        except DataError as error:
            pipe.reject(Line(record, file, number), error)
            continue
        held.append(split if check else next((field for field in ADDED if field in record), None))
        if not check:
            spool.write((raw[len(BOM) :] if raw.startswith(BOM) else raw).strip() + b"\n")
    return held


def _with(raw: bytes, stale: bool, fields: dict) -> bytes:
    """The line with the fields that are not None: spliced in at the end, so that the rest stays as it was written, byte
    for byte. `stale`: an earlier protocol left some of them, which would be read as this one's."""
    import orjson

    added = {field: value for field, value in fields.items() if value is not None}
    if stale:
        record = {k: v for k, v in orjson.loads(raw).items() if k in added or k not in fields}
        return orjson.dumps({**record, **added}, option=orjson.OPT_APPEND_NEWLINE)
    if not added:
        return raw
    return raw.rstrip()[:-1].rstrip() + b"," + orjson.dumps(added)[1:] + b"\n"


def _like(file: str, group: str) -> dict[str, str]:
    """group -> split, as another file has them."""
    from mma82cli.records import DataError, text
    from mma82cli.stream import Input, parse

    known: dict[str, tuple[str, str]] = {}
    for name, number, raw in Input([file]):
        place = f"{name}:{number}"
        try:
            record = parse(raw, number)
            value, split = text(record, group), text(record, "split")
            first, where = known.setdefault(value, (split, place))
            if first != split:
                raise DataError(f"{group} {value!r} is in {split}, and in {first} at {where}; expected one split")
            if split not in ("train", "val", "test"):
                raise DataError(f"field 'split' is {split!r}; expected train, val or test")
        except DataError as error:
            raise DataError(f"{place}: {error}") from None
    return {value: split for value, (split, _) in known.items()}


def _check(pipe, clips, splits: list[str]) -> None:
    from mma82cli.protocol.counting import leaks
    from mma82cli.records import DataError, show

    names, field = clips.groups.values, clips.field["group"]
    found = leaks([names[g] for g in clips.group], splits)
    if found:
        shown = [f"{show(n)} ({', '.join(f'{s} {c}' for s, c in of.items())})" for n, of in list(found.items())[:5]]
        more = f", and {len(found) - 5} more" if len(found) > 5 else ""
        raise DataError(
            f"{len(found)} of {len(names)} groups (field '{field}') are in more than one split: {', '.join(shown)}{more};"
            " expected each in one"
        )
    pipe.note(f"no leak: {len(names)} groups (field '{field}'), each in one split")


def _report(pipe, path: str, clips, splits, shares: dict[str, float]) -> None:
    from mma82cli.commands.report import write_beside
    from mma82cli.protocol.report import report
    from mma82cli.protocol.tables import tables
    from mma82cli.stream import Output

    with Output(path) as out:
        write_beside(pipe, out, report(clips, splits, shares), tables)
