"""`mma82 validate`: every fault of records, with its line."""

from __future__ import annotations

from typing import Annotated

import typer

from mma82cli.commands.options import Root, TaxonomyName, command, quiet_decoders

DETAILS = """
Of a record by itself: missing, wrong-type, unknown-split, negative-time, end-not-after-start, beyond-duration,
fps-mismatch (with num_frames and duration), unknown-label, unknown-layout, malformed-keypoints, malformed-scores,
malformed-box, frames-mismatch, duplicate-segment. Of lines: broken-json. Of records beside each other: duplicate-line,
duplicate-id, overlap (of one annotator, video and label), two-domains (of a subject). With --media, of the files:
missing-file, unreadable-file, truncated-file (mp4, mov, Matroska, AVI), and their own fps and duration.

Exit status 1 where there is a fault; else 0, and nothing is printed.
"""

MediaOption = Annotated[bool, typer.Option("--media", help="open the video files too")]
EXAMPLE = "mma82 validate annotations.jsonl && mma82 merge-annotations annotations.jsonl > segments.jsonl"


@command(
    example=EXAMPLE, details=DETAILS,
    takes="id video start end label subject domain split annotator duration fps num_frames layout keypoints "
    "box scores segments predictions",
    writes="file line field fault value message",
)
def run(pipe, media: MediaOption = False, root: Root = ".", taxonomy: TaxonomyName = "mma82") -> int:
    """Find every temporal and schema fault in records: a JSON line each on stdout (file, line, field, fault, value, message),
    a summary on stderr."""
    from collections import Counter

    from mma82cli.records import DataError
    from mma82cli.stream import parse
    from mma82cli.taxonomy import load_taxonomy
    from mma82cli.validation.across import Across
    from mma82cli.validation.fields import Fault, Fields

    labels = load_taxonomy(taxonomy)
    fields, across = Fields(labels, load_taxonomy("emotion8")), Across(labels)
    files = _media(root) if media else None
    read, bad, counts = 0, 0, Counter()
    for file, number, raw in pipe.progress(pipe.input()):
        read += 1
        try:
            record = parse(raw, number)
        except DataError as error:
            found = [Fault(None, "broken-json", _with_column(error))]
        else:
            found = [*fields.faults(record), *across.faults(record, raw, across.place(file, number))]
            found += files.faults(record) if files else []
        bad += bool(found)
        for fault in found:
            counts[fault.fault] += 1
            pipe.write(fault.to_json(file, number))
    if not bad:
        return 0
    kinds = ", ".join(f"{n} {fault}" for fault, n in counts.most_common())
    total = sum(counts.values())
    pipe.note(f"{total} fault{'s' * (total > 1)} in {bad} of {read} records: {kinds}")
    return 1


def _media(root: str):
    quiet_decoders()
    from mma82cli.validation.media import Media

    return Media(root)


def _with_column(error) -> str:
    return f"column {error.column}: {error}" if error.column else str(error)
