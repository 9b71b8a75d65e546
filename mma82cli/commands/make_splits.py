"""`mma82 make-splits`: subject-exclusive splits, and the zero-shot and few-shot protocols (Section IV and V)."""

from __future__ import annotations

import tempfile
from typing import Annotated, Literal

import typer

from mma82cli.commands.options import Seed, command, only

SPOOL = 1 << 28  # bytes of the stream held in memory; beyond that in a temporary file

Protocol = Literal["in-domain", "zero-shot", "few-shot"]
Ratio = Annotated[str, typer.Option("--ratio", metavar="A:B:C", help="shares of train, val and test")]
Group = Annotated[
    str, typer.Option("--group", metavar="FIELD[:PATTERN]", help="field, or what is found in it, whose values are never split")
]
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


Fixed = Annotated[
    list[str], typer.Option("--fixed", metavar="GROUP=SPLIT", show_default=False, help="this group is there; may be repeated")
]
CommonQueries = Annotated[bool, typer.Option("--common-queries", help="the same queries in every run, K, and in zero-shot")]
Disjoint = Annotated[bool, typer.Option("--disjoint-subjects", help="the same, and no group is in both support and query")]
Publish = Annotated[str, typer.Option("--publish", metavar="FILE", show_default=False, help="write who is where, signed")]
Apply = Annotated[str, typer.Option("--apply", metavar="FILE", show_default=False, help="add what a published split says")]

EXAMPLE = """
mma82 make-splits --protocol zero-shot --source laboratory clips.jsonl > splits.jsonl
mma82 make-splits --seed 7 --publish split.jsonl clips.jsonl > splits.jsonl
mma82 convert --from ma52 train.txt --split train | mma82 make-splits --check --group 'video:^([0-9]+)_' - others.jsonl
"""
DETAILS = """
Support is drawn from all clips of a target domain and class, and the others of a run are its queries; so queries differ
from run to run, from K to K, and from zero-shot. --common-queries keeps 20 clips of each (or all but one) for support, in
every protocol, K and run; --disjoint-subjects keeps whole groups. Clips that are kept get no 'split' and are no queries.

--publish writes a file whose first line has a 'signature' of all choices and a hash of the rest: a line a record with id,
group and what was added. --apply adds that to the same records by id, --like keeps its groups where they are, --check
reads it. --like takes any records with a split. --report FILE: lines, or tables where it ends in .txt, .md, .tex, .tsv.
"""


@command(
    example=EXAMPLE,
    details=DETAILS,
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
    fixed: Fixed = None,
    seed: Seed = 0,
    check: Check = False,
    report: ReportFile = None,
    protocol: ProtocolOption = "in-domain",
    source: Source = None,
    target: Target = None,
    shots: Shots = 5,
    runs: Runs = 20,
    common_queries: CommonQueries = False,
    disjoint_subjects: Disjoint = False,
    publish: Publish = None,
    apply: Apply = None,
) -> None:
    """Add 'split' (train, val, test) to every record. Every group (subject) is in one split only; the ratio, the classes
    and the ratio in every domain are brought as near to what is wanted as indivisible groups allow. Records with
    'segments' count their segments.

    zero-shot and few-shot split the source domains so and put every clip of the target domains in test. few-shot adds
    'support_runs', the runs (from 0) in which a target clip is support: min(K, n-1) of n clips of a domain and class.
    Both add 'protocol' (in-domain, zero-shot, few-shot), so that `score --by protocol` keeps their results apart."""
    from mma82cli.protocol.counting import Clips
    from mma82cli.protocol.plan import Plan, parse_ratio

    if apply:
        only(pipe, "--apply makes no split", "FILE", "--output", "--on-error", "--apply")
        return _apply(pipe, apply)
    if check:
        read = ("FILE", "--output", "--on-error", "--check", "--report", "--ratio", "--group", "--stratify", "--within")
        only(pipe, "--check makes no split", *read)
    shares = parse_ratio(ratio)
    plan = Plan(protocol, source or [], target or [], shots, runs, seed, within, common_queries, disjoint_subjects)
    plan.check()
    clips = Clips(group, stratify, within)
    if check:
        splits = [split for _, split in _read(pipe, clips, check=True, counted=bool(report))]
        _check(pipe, clips, splits)
        return _report(pipe, report, clips, splits, shares)
    how = {"ratio": ratio, "group": group, "stratify": stratify, "within": within, "like": like, "fixed": fixed}
    choices = plan.choices() | {name: value for name, value in how.items() if value}
    with tempfile.SpooledTemporaryFile(SPOOL) as spool:
        stale = _kept(pipe, clips, spool)
        made = _made(pipe, clips, plan, shares, like, fixed or [])
        _report(pipe, report, clips, made.splits, shares)
        spool.seek(0)
        _write(pipe, zip(spool, stale, *made[:3], strict=True), publish, clips, choices)


def _kept(pipe, clips, spool) -> list[bool]:
    """Counts every record and keeps its line -> of each whether it has fields that will be added."""
    stale = []
    for raw, old in _read(pipe, clips):
        spool.write(raw)
        stale.append(old is not None)
    if any(stale):
        pipe.note(f"{sum(stale)} of {len(stale)} records had a split already, which is replaced")
    return stale


def _made(pipe, clips, plan, shares: dict[str, float], like: str | None, fixed: list[str]):
    """What the plan makes of the clips; a person hears what could not be as it was wanted."""
    from mma82cli.protocol.places import known_places, strangers

    made = plan.make(clips, shares, known_places(like, fixed, clips.grouping))
    for note in [*strangers(fixed, clips.groups), *made.notes]:
        pipe.note(note)
    return made


def _read(pipe, clips, check: bool = False, counted: bool = True):
    """Counts every record. Yields each with, for `check`, its split; else (its line, a field that it has of those that will
    be added, or None)."""
    from mma82cli.protocol.published import ADDED, is_header
    from mma82cli.records import SPLITS, DataError, wrong
    from mma82cli.stream import BOM, Line, parse

    for file, number, raw in pipe.progress(pipe.input()):
        try:
            record = parse(raw, number)
        except DataError as error:
            pipe.reject(Line(raw.decode("utf-8", "replace").strip(), file, number), error)
            continue
        if check and is_header(record):
            continue
        try:
            split = record.get("split")
            if check and split not in SPLITS:
                raise wrong("split", split, "train, val or test")
            clips.add(record, f"{file}:{number}", counted)
        except DataError as error:
            pipe.reject(Line(record, file, number), error)
            continue
        line = (raw[len(BOM) :] if raw.startswith(BOM) else raw).strip() + b"\n"
        yield line, split if check else next((field for field in ADDED if field in record), None)


def _write(pipe, rows, publish: str | None, clips, choices: dict) -> None:
    """Every line with what was made of it; the published split beside it."""
    import orjson

    from mma82cli.protocol.published import ADDED, Publisher
    from mma82cli.records import record_id
    from mma82cli.stream import Output

    publisher = Publisher(clips.grouping.field) if publish else None
    for raw, stale, *values in rows:
        added = {field: value for field, value in zip(ADDED, values, strict=True) if value is not None}
        pipe.out.write(_with(raw, stale, added))
        if publisher:
            record = orjson.loads(raw)
            publisher.add(record_id(record), record[publisher.field], added)
    if publisher:
        with Output(publish) as out:
            out.write(publisher.content(choices))


def _apply(pipe, file: str) -> None:
    """Adds what a published split says, by id."""
    from mma82cli.protocol.published import ADDED, read
    from mma82cli.records import DataError, record_id, show

    signature, known = read(file)
    met = set()

    def add(record: dict) -> dict:
        name = record_id(record)
        if name not in known:
            raise DataError(f"id {show(name)} is not in {file}; expected the records that were split")
        met.add(name)
        return {k: v for k, v in record.items() if k in known[name] or k not in ADDED} | known[name]

    pipe.filter(add)
    pipe.note(f"{len(met)} of {len(known)} records of the split: {signature}")


def _with(raw: bytes, stale: bool, added: dict) -> bytes:
    """The line with the fields of `added`: spliced in at the end, so that the rest stays as it was written, byte for byte.
    `stale`: an earlier protocol left some, which would be read as this one's."""
    import orjson

    from mma82cli.protocol.published import ADDED

    if stale:
        record = {k: v for k, v in orjson.loads(raw).items() if k in added or k not in ADDED}
        return orjson.dumps({**record, **added}, option=orjson.OPT_APPEND_NEWLINE)
    if not added:
        return raw
    return raw.rstrip()[:-1].rstrip() + b"," + orjson.dumps(added)[1:] + b"\n"


def _check(pipe, clips, splits: list[str]) -> None:
    from mma82cli.protocol.counting import leaks
    from mma82cli.records import DataError, show

    names, field = clips.groups.values, clips.field["group"]
    if not splits:
        raise DataError(f"no records, so there is nothing to check; expected records with 'split' and '{field}'")
    found = leaks([names[g] for g in clips.group], splits)
    if found:
        shown = [f"{show(n)} ({', '.join(f'{s} {c}' for s, c in of.items())})" for n, of in list(found.items())[:5]]
        more = f", and {len(found) - 5} more" if len(found) > 5 else ""
        raise DataError(
            f"{len(found)} of {len(names)} groups (field '{field}') are in more than one split: {', '.join(shown)}{more};"
            " expected each in one"
        )
    pipe.note(f"no leak: {len(names)} groups (field '{field}'), each in one split")


def _report(pipe, path: str | None, clips, splits, shares: dict[str, float]) -> None:
    if path is None:
        return
    from mma82cli.commands.report import write_beside
    from mma82cli.protocol.report import report
    from mma82cli.protocol.tables import tables
    from mma82cli.stream import Output

    with Output(path) as out:
        write_beside(pipe, out, report(clips, splits, shares), tables)
