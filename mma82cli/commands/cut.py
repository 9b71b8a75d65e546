"""`mma82 cut`: the clips and windows of the two data sets from merged segments of source videos (Section IV)."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from mma82cli.commands.options import Root, TaxonomyName, command, quiet_decoders

Task = Literal["rec", "det"]
TaskOption = Annotated[Task, typer.Option("--task", help="trimmed clips, or untrimmed windows")]
Gap = Annotated[float, typer.Option("--gap", metavar="S", min=0, help="det: a window ends in a pause of this length or more")]
Least = Annotated[float, typer.Option("--min", metavar="S", min=0, help="det: a window's least length")]
Most = Annotated[float, typer.Option("--max", metavar="S", min=0, help="det: a window's greatest length")]
DropEmpty = Annotated[bool, typer.Option("--drop-empty", help="det: leave out windows without a segment")]
WriteDir = Annotated[str, typer.Option("--write", metavar="DIR", show_default=False, help="write each clip as a file into DIR")]
Lossless = Annotated[bool, typer.Option("--lossless", help="with --write: FFV1 in .avi, some 15 times as large as MPEG-4")]

EXAMPLE = """
mma82 cut --task det segments.jsonl | mma82 make-splits > windows.jsonl
mma82 cut --root videos --write clips segments.jsonl > clips.jsonl
"""
DETAILS = """
Windows tile their video without overlap: each begins where the last one ended, the first at 0, and the last ends at
'duration' (without one: with the last segment; `mma82 convert --media` adds it). Their 'segments' are in the window's
time; 'start', 'end' and 'sources' stay in the video's. A window breaks --min or --max only where no tiling does without,
and stderr says how many do.

With --write each record is of its file: 'video' relative to DIR, frames as they were (also of videos whose rate
varies), segments moved to them, and 'cut_from' says where they were. Files appear when they are whole; DIR/files.jsonl
lists them, and the same command goes on where it was stopped.
"""


@command(
    example=EXAMPLE, details=DETAILS,
    takes="video start end label subject domain duration segments",
    adds="id start end segments cut_from",
)
def run(
    pipe,
    task: TaskOption = "rec",
    gap: Gap = 2.0,
    least: Least = 0.6,
    most: Most = 90.0,
    drop_empty: DropEmpty = False,
    write: WriteDir = None,
    lossless: Lossless = False,
    root: Root = ".",
    taxonomy: TaxonomyName = "mma82",
) -> None:
    """Cut source videos into clips of one segment each (rec), or windows that never cut through a segment (det). In:
    merged segments, one a line or as 'segments' of a video. Out: a record a clip or window, with 'id', 'video', 'start'
    and 'end'; videos in order of first appearance."""
    from mma82cli.annotation import cutting
    from mma82cli.annotation.spans import microseconds
    from mma82cli.annotation.windows import Limits
    from mma82cli.records import WrongUsage
    from mma82cli.taxonomy import load_taxonomy

    quiet_decoders()
    limits = Limits(*map(microseconds, (least, most, gap)))
    if not 0 < 2 * limits.least <= limits.most:
        raise WrongUsage(f"--min {least:g} and --max {most:g}; expected a minimum above 0 and at most half of the maximum")
    labels = load_taxonomy(taxonomy)
    files = _files(root, write, lossless)
    if task == "rec":
        made = ((line, clip) for line, source in _sources(pipe, labels) for clip in cutting.clips(source, labels))
    else:
        made = _windows(pipe, _joined(pipe, _sources(pipe, labels)), limits, drop_empty)
    _write(pipe, made, files)


def _files(root: str, folder: str | None, lossless: bool):
    """What turns a record by reference into one of a file; None without --write."""
    from mma82cli.records import WrongUsage

    if folder is None:
        if lossless:
            raise WrongUsage("--lossless is of files; expected --write DIR")
        return None
    from mma82cli.annotation.clip_files import ClipFiles

    return ClipFiles(root, folder, ".avi" if lossless else ".mp4")


def _sources(pipe, labels):
    """(line, source) of every good record."""
    from mma82cli.annotation.cutting import source_of
    from mma82cli.records import DataError

    for line in pipe.lines():
        try:
            yield line, source_of(line.record, labels)
        except DataError as error:
            pipe.reject(line, error)


def _joined(pipe, sources):
    """The same with the segments of one video together; the whole stream is held, but for records with segments."""
    from mma82cli.records import DataError

    videos = {}
    for line, source in sources:
        nested = "segments" in line.record
        key = (source.video, source.offset) if nested else (source.video, None)
        try:
            if key not in videos:
                videos[key] = line, source
            elif nested:
                raise DataError(f"video {source.video!r} comes again; expected its segments in one record")
            else:
                videos[key][1].join(source)
        except DataError as error:
            pipe.reject(line, error)
    yield from videos.values()


def _windows(pipe, sources, limits, drop_empty: bool):
    from mma82cli.annotation.cutting import windows
    from mma82cli.annotation.spans import microseconds

    endless = short = long = dropped = 0
    for line, source in sources:
        endless += source.length is None
        for window in windows(source, limits):
            length = microseconds(window["duration"])
            if drop_empty and not window["segments"]:
                dropped += 1
                continue
            short, long = short + (length < limits.least), long + (length > limits.most)
            yield line, window
    if endless:
        what = f"{endless} videos have no 'duration' (`mma82 convert --media` adds it)"
        pipe.note(f"{what}: their last window ends with their last segment")
    if short or long:
        what = f"{short} windows are shorter than --min and {long} longer than --max"
        pipe.note(f"{what}: no tiling that cuts through no segment keeps to both there")
    if dropped:
        pipe.note(f"left out {dropped} windows without a segment")


def _write(pipe, made, files) -> None:
    """Every record once; with `files` as a file."""
    from mma82cli.records import DataError, show
    from mma82cli.stream import Line

    seen: set[str] = set()
    for line, record in pipe.progress(made, unit="clip"):
        try:
            if record["id"] in seen:
                raise DataError(f"id {show(record['id'])} comes again; expected each clip once")
            seen.add(record["id"])
            pipe.write(files(record) if files else record)
        except DataError as error:
            pipe.reject(Line(record, line.file, line.number), error)
    if files and files.kept:
        pipe.note(f"{files.kept} files were there already; {files.written} were written")
