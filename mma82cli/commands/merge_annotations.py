"""`mma82 merge-annotations`: several annotators' lines in, one segment an instance out (Section III, Eq. 1-4)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Annotated, Literal

import typer

from mma82cli.commands.options import TaxonomyName, command

Rule = Literal["paper", "epic", "median"]
RuleOption = Annotated[Rule, typer.Option("--rule", help="Eq. 1-4 as printed; EPIC-KITCHENS' way; or median boundaries")]
Threshold = Annotated[float, typer.Option("--threshold", metavar="TIOU", min=0, max=1, help="union only above this tIoU")]
MinDuration = Annotated[float, typer.Option("--min-duration", metavar="S", min=0, help="leave out what is not longer")]
MinAnnotators = Annotated[int, typer.Option("--min-annotators", metavar="N", min=1, help="leave out what fewer have seen")]
Senior = Annotated[str, typer.Option("--senior", metavar="NAME", show_default=False, help="annotator who settles conflicts")]
AgreementFile = Annotated[
    str, typer.Option("--agreement", metavar="FILE", show_default=False, help="write agreement between annotators here")
]
Nest = Annotated[bool, typer.Option("--nest", help="one record a video, with 'segments'")]
Grouped = Annotated[bool, typer.Option("--grouped", help="a video's lines are adjacent: hold one video, not the stream")]


EXAMPLE = """
mma82 merge-annotations a1.jsonl a2.jsonl a3.jsonl | mma82 make-splits > segments.jsonl
mma82 merge-annotations --agreement agreement.txt a1.jsonl a2.jsonl a3.jsonl > segments.jsonl
"""
DETAILS = """
--agreement writes a line a video and label, and last one for all: kappa and Dice of each pair of annotators and
Krippendorff's alpha, frame by frame (100 ms); mean tIoU, median boundary error and F1 (tIoU 0.5) of matched segments.
The last line has the same by label ('labels'); each annotator scored against the merge as a system would be, which is
how far people get ('ceiling'); and the three rules beside each other ('rules': tIoU with the annotations that were
merged, and with one that was held out). A FILE that ends in .txt, .md, .tex or .tsv gets tables of the last line, and
so does a terminal.
"""


@command(
    example=EXAMPLE,
    details=DETAILS,
    takes="video start end label annotator instance subject domain duration",
    adds="annotators sources agreement status tie segments",
)
def run(
    pipe,
    rule: RuleOption = "paper",
    threshold: Threshold = 0.5,
    min_duration: MinDuration = 0.2,
    min_annotators: MinAnnotators = 1,
    senior: Senior = None,
    agreement: AgreementFile = None,
    nest: Nest = False,
    grouped: Grouped = False,
    taxonomy: TaxonomyName = "mma82",
) -> None:
    """Merge several annotators' segments into one an instance. In: one annotation a line (video, start, end, label,
    annotator, and instance where it is known). Out: one segment a line, with annotators, sources, agreement (mean tIoU
    of the pairs), status (agreed, single, conflict) and tie (the order of the annotators in the input decided).

    Annotations that name no instance are matched within a video and label by the exact optimum of total tIoU. Segments
    of other annotators with another label and a tIoU of 0.5 or more are a conflict: the senior's label wins, then the
    label of more than half; else each label stays, with status conflict."""
    from fractions import Fraction

    from mma82cli.annotation.instances import Choices, nested
    from mma82cli.annotation.reading import Reader
    from mma82cli.annotation.spans import microseconds
    from mma82cli.taxonomy import load_taxonomy

    minimum = microseconds(min_duration)
    reader = Reader(load_taxonomy(taxonomy), minimum)
    choices = Choices(rule, Fraction(repr(threshold)), minimum, min_annotators, senior)
    counts = {"left_out": 0, "unseen": 0, "repeated": 0, "conflict": 0, "crowds": 0}
    met: set[int] = set()  # annotators of a video that another annotated too
    videos = _grouped(pipe, reader) if grouped else _by_video(pipe, reader)
    with _measuring(pipe, agreement, reader, choices.threshold) as measure, _without_cycles():
        for held, video in _merged(pipe, videos, choices):
            ranks = {annotation.rank for annotation in held}
            met |= ranks if len(ranks) > 1 else set()
            for record in [nested(held, video.segments)] if nest else video.segments:
                pipe.write(record)
            for what in counts:
                counts[what] += getattr(video, what)
            if measure:
                measure(held, video)
    _tell(pipe, reader, counts, min_duration, min_annotators, senior)
    alone = [name for name, rank in reader.ranks.items() if rank not in met]
    if alone and len(reader.ranks) > 1:
        pipe.note(f"no video of {', '.join(alone)} has annotations of anybody else; are the videos named alike?")


def _annotations(pipe, reader):
    """(video, annotation or None where it is too short) of every good line."""
    from mma82cli.records import DataError

    for line in pipe.progress(pipe.lines()):
        try:
            annotation = reader.read(*line)
        except DataError as error:
            pipe.reject(line, error)
            continue
        yield line, annotation


def _by_video(pipe, reader):
    """The annotations of each video, in order of first appearance; the whole stream is held."""
    videos = {}
    for line, annotation in _annotations(pipe, reader):
        of_video = videos.setdefault(line.record["video"], [])
        if annotation is not None:
            of_video.append(annotation)
    yield from filter(None, videos.values())


def _grouped(pipe, reader):
    """The same where a video's lines are adjacent: each video leaves when the next begins."""
    from mma82cli.records import DataError, show

    done, now, held = set(), None, []
    for line, annotation in _annotations(pipe, reader):
        video = line.record["video"]
        if video != now:
            if held:
                yield held
            if hash(video) in done:
                again = f"video {show(video)} comes again after others; expected its lines together (or no --grouped)"
                pipe.reject(line, DataError(again))
                now, held = None, []
                continue
            done.add(hash(video))
            now, held = video, []
        if annotation is not None:
            held.append(annotation)
    if held:
        yield held


def _merged(pipe, videos, choices):
    """(annotations, what they became) of each video. Under `--on-error skip` an annotation that contradicts its
    instance is set aside."""
    from mma82cli.annotation.instances import AnnotationError, merge_video
    from mma82cli.stream import Line

    for held in videos:
        while held:
            try:
                video = merge_video(held, choices)
            except AnnotationError as error:
                bad = error.annotation
                pipe.reject(Line(bad.record, bad.file, bad.number), error)
                held = [a for a in held if a is not bad]
            else:
                yield held, video
                break


@contextmanager
def _without_cycles():
    """Records hold no cycles; looking for some takes an eighth of the time when millions are held."""
    import gc

    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def _measuring(pipe, path: str | None, reader, threshold):
    """A function that takes each video's instances; the agreement file appears when all is done."""
    if path is None:
        yield None
        return
    from mma82cli.annotation.comparison import Comparison
    from mma82cli.annotation.tables import tables
    from mma82cli.commands.report import write_beside
    from mma82cli.stream import Output

    comparison = Comparison(reader.taxonomy, threshold)
    with Output(path) as out:
        yield comparison.add
        write_beside(pipe, out, comparison.rows(reader.names), tables)


def _tell(pipe, reader, counts: dict, min_duration: float, min_annotators: int, senior) -> None:
    if reader.too_short or counts["left_out"]:
        more = ", …" if reader.too_short > len(reader.places) else ""
        places = f" ({', '.join(reader.places)}{more})" if reader.places else ""
        what = f"{_count(reader.too_short, 'annotation')}{places} and {_count(counts['left_out'], 'merged segment')}"
        pipe.note(f"left out {what} not longer than {min_duration:g} s")
    if counts["unseen"]:
        pipe.note(f"left out {counts['unseen']} instances seen by fewer than {min_annotators} annotators")
    if counts["repeated"]:
        pipe.note(f"{counts['repeated']} annotations overlap one of the same annotator and label; they stay apart")
    if counts["conflict"]:
        pipe.note(f"{counts['conflict']} segments are in conflict over the label (status \"conflict\")")
    if counts["crowds"]:
        pipe.note(f"{counts['crowds']} crowds of annotations of one label are too large to be grouped by the exact optimum")
    if senior is not None and senior not in reader.ranks and reader.ranks:
        pipe.note(f"the senior annotator '{senior}' is not in the input; it has {', '.join(reader.names)}")


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
