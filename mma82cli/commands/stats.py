"""`mma82 stats`: what a stream amounts to, as the paper's Tables I, II and V and the numbers behind Fig. 3."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from mma82cli.commands.options import TaxonomyName, command
from mma82cli.commands.report import FormatOption, write_report

TableName = Literal["overview", "domains", "emotions", "bodies", "classes", "rare"]
Tables = Annotated[list[TableName], typer.Option("--table", show_default=False, help="only this table; may be repeated")]
Rare = Annotated[int, typer.Option("--rare", metavar="N", min=0, help="list the labels with fewer than N instances; 0: none")]
Against = Annotated[bool, typer.Option("--against", help="set published data sets beside it (Table I)")]

EXAMPLE = """
cat clips.jsonl windows.jsonl | mma82 stats --format table
mma82 stats --rare 50 --table rare clips.jsonl
mma82 stats clips.jsonl | mma82 plot classes --out figures
"""
DETAILS = """
Lines by 'table': overview (Table I: classes, body groups, domains, subjects, clips, videos, segments, hours, frames),
domains (Tables II and V: a line a domain and split; null: all), emotions (a line each, of the records that have one;
'share' is of these), bodies and classes (Fig. 3: counts, shares, and how durations spread; a histogram has four bins an
octave from 0.1 s on), rare (what to collect more of).

A record with 'emotion' and no 'label' counts as a video; its 'actions' have no time and are no instances.
Records without 'subject', 'domain' or 'split' count where those are not asked for; 'untimed' counts records that do
not tell how long they are, whose time is in no sum.
"""


@command(
    example=EXAMPLE,
    details=DETAILS,
    takes="id video start end label subject domain split emotion segments duration num_frames fps",
    writes="table name domain split emotion body label classes bodies domains subjects clips videos segments instances hours "
    "frames share untimed lacking signature",
)
def run(
    pipe,
    table: Tables = None,
    rare: Rare = 0,
    against: Against = False,
    format: FormatOption = None,
    taxonomy: TaxonomyName = "mma82",
) -> None:
    """Count records: trimmed clips with a label, segments one a line, and untrimmed videos with 'segments', in any mixture.
    Out: a line a figure, or on a terminal tables."""
    from mma82cli.protocol.statistics import Statistics, published
    from mma82cli.protocol.tables import tables
    from mma82cli.records import DataError, WrongUsage
    from mma82cli.taxonomy import load_taxonomy

    wanted = set(table or ())
    if "rare" in wanted and not rare:
        raise WrongUsage("--table rare needs --rare N, how many instances are enough")
    labels = load_taxonomy(taxonomy)
    counted = Statistics(labels)
    for line in pipe.progress(pipe.lines()):
        try:
            counted.add(line.record)
        except DataError as error:
            pipe.reject(line, error)
    rows = list(counted.rows(rare))
    if against:
        rows[1:1] = published()
    rows = [row for row in rows if not wanted or row["table"] in wanted]
    write_report(pipe, rows, {"taxonomy": labels.name}, format, tables)
