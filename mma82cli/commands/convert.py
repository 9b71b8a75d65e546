"""`mma82 convert`: other people's formats to records, and records to other people's formats."""

from __future__ import annotations

import json
import textwrap
from typing import Annotated, Literal, cast

import typer

from mma82cli.commands.options import Root, command, one_of, quiet_decoders
from mma82cli.formats import FORMATS
from mma82cli.records import DataError, WrongUsage

EXAMPLE = """
mma82 convert --from labelu a1.json a2.json a3.json | mma82 merge-annotations > segments.jsonl
mma82 convert --from csv --columns video=clip,start=from,end=to,label=action table.tsv
mma82 convert --from scores --names test_list.txt result.pkl | mma82 score
mma82 convert --media --root videos segments.jsonl | mma82 cut --task det > windows.jsonl
mma82 infer run/ --split test clips.jsonl | mma82 convert --to mac-mar -o submission.zip
"""
OF = {  # options, and the formats that heed them
    "--annotator": ("csv", "elan", "label-studio", "labelu"), "--challenge": ("mac-mar",), "--columns": ("csv",),
    "--first-id": ("csv", "list", "ma52", "scores"), "--fps": ("csv", "epic", "label-studio", "mma52"),
    "--keep-invalid": ("labelu",), "--layout": ("pyskl",), "--names": ("scores",),
}  # fmt: skip
WIDTH = max(map(len, FORMATS)) + 2
FILES = [name for name, (_, _, writes, _) in FORMATS.items() if writes == "file"]
DETAILS = "\b\n" + "\n".join(
    textwrap.fill(words, 72, initial_indent=f"{name:<{WIDTH}}", subsequent_indent=" " * WIDTH, break_on_hyphens=False)
    for name, (_, _, _, words) in FORMATS.items()
)
DETAILS += f"""

{", ".join(FILES[:-1])} and {FILES[-1]} are no lines: to write them takes -o. From one of these formats to another goes
through records. What a format has no place for is left out, and named once.

--media gives records the 'duration' that `cut --task det`, `diagnose` and agreement ask for, from the frames of their
videos; with neither --from nor --to records stay as they are but for that.
"""

In = one_of(*(name for name, (_, reads, *_) in FORMATS.items() if reads))
Out = one_of(*(name for name, (_, _, writes, _) in FORMATS.items() if writes))
From = Annotated[In, typer.Option("--from", metavar="FORMAT", show_default=False, help="what the FILEs are; none: records")]
To = Annotated[Out, typer.Option("--to", metavar="FORMAT", show_default=False, help="what to write; none: records")]
Columns = Annotated[
    str, typer.Option("--columns", metavar="F=COL,…", show_default=False, help="csv: field=column name, or number if no header")
]
Annotator = Annotated[str, typer.Option("--annotator", metavar="NAME", show_default=False, help="whose annotations these are")]
KeepInvalid = Annotated[bool, typer.Option("--keep-invalid", help="keep LabelU's items with valid:false")]
Fps = Annotated[float, typer.Option("--fps", metavar="N", min=0.001, show_default=False, help="frame rate, where none is given")]
SplitName = Annotated[str, typer.Option("--split", metavar="NAME", show_default=False, help="the split that the FILEs are")]
Names = Annotated[
    str, typer.Option("--names", metavar="FILE", show_default=False, help="scores: `name`, `name label` or a record a row")
]
FirstId = Annotated[int, typer.Option("--first-id", metavar="N", min=0, help="csv, list, scores: the FILEs' first label id")]
Layout = Annotated[str, typer.Option("--layout", metavar="NAME|FILE", show_default=False, help="pyskl: joint set; 17: coco17")]
Media = Annotated[bool, typer.Option("--media", help="open the video files too: add 'duration' where it is missing")]
Year = Literal["2025", "2024"]
Challenge = Annotated[Year, typer.Option("--challenge", help="mac-mar: columns of which year")]
TaxonomyName = Annotated[
    str, typer.Option("--taxonomy", metavar="NAME|FILE", show_default=False, help="label set; mma82, or ma52 for its formats")
]


@command(
    example=EXAMPLE, details=DETAILS,
    takes="video start end label annotator split segments predictions scores topk layout keypoints",
    adds="video start end label annotator duration fps layout keypoints predictions scores topk",
)
def run(
    pipe,
    from_: From = None,
    to: To = None,
    columns: Columns = None,
    annotator: Annotator = None,
    keep_invalid: KeepInvalid = False,
    fps: Fps = None,
    split: SplitName = None,
    names: Names = None,
    first_id: FirstId = 0,
    layout: Layout = None,
    challenge: Challenge = "2025",
    media: Media = False,
    root: Root = ".",
    taxonomy: TaxonomyName = None,
) -> None:
    """Read (--from) or write (--to) other formats of annotations, lists, joints and submissions; the side that is not
    named is records. Labels become names of the taxonomy, times seconds."""
    from mma82cli.formats import module
    from mma82cli.formats.base import MA52, SPLITS, Options
    from mma82cli.taxonomy import load_taxonomy

    source, target = from_, to
    if source is None and target is None and not media:
        raise WrongUsage("neither --from nor --to; expected at least one, the other side is records")
    if "--root" in pipe.given and not media:
        raise WrongUsage("--root is the folder of video files; expected --media, which opens them")
    if target and FORMATS[target][2] == "file" and not pipe.out.path:
        raise WrongUsage(f"{target} is a file, no lines; expected -o FILE")
    for option in pipe.given:
        if option in OF and not {source, target}.intersection(OF[option]):
            raise WrongUsage(f"{option} is of {', '.join(OF[option])}; found {' and '.join(filter(None, (source, target)))}")
    if split is not None and not source:
        raise WrongUsage("--split names the split that FILEs of --from are; records have their own")
    if split is not None and split not in SPLITS.values():
        raise WrongUsage(f"--split is {split!r}; expected train, val or test")
    labels = load_taxonomy(taxonomy or ("ma52" if source in MA52 or target in MA52 else "mma82"))
    year, asked = challenge, taxonomy is not None
    options = Options(labels, annotator, keep_invalid, _columns(columns), fps, split, layout, year, asked, names, first_id)
    reader = module(source).Reader(options) if source else None
    lines = _read(pipe, reader, source) if source else pipe.lines()
    lines = _timed(pipe, lines, root) if media else lines
    if target:
        _write(pipe, pipe.progress(lines), module(target).Writer(options, pipe.out.path or ""))
    else:
        for line in pipe.progress(lines):
            pipe.write(line.record)
    for note in reader.notes() if reader else []:
        pipe.note(note)


def _timed(pipe, lines, root: str):
    """The records with the duration of their videos; those whose video can't be read are rejected."""
    quiet_decoders()
    from mma82cli.video.durations import Durations

    durations = Durations(root)
    for line in lines:
        try:
            record = durations(line.record)
        except DataError as error:
            pipe.reject(line, error)
        else:
            yield line._replace(record=record)


def _columns(said: str | None) -> dict[str, str]:
    """{field: column} of `video=clip,start=from`."""
    pairs = [part.partition("=") for part in (said or "").split(",") if part]
    for name, equals, column in pairs:
        if not (name and equals and column):
            raise WrongUsage(f"--columns has {name + equals + column!r}; expected FIELD=COLUMN,FIELD=COLUMN,…")
    return {name.strip(): column.strip() for name, _, column in pairs}


def _read(pipe, reader, source: str):
    """The good records of every FILE, with their places; bad ones are rejected."""
    from mma82cli.stream import DamagedFile, Line

    for name, file in _files(pipe, source):
        entries = reader.entries(file, name)
        while True:
            try:
                place, entry = next(entries)
            except StopIteration:
                break
            except DamagedFile:
                raise
            except DataError as error:
                place = [str(at) for at in (getattr(error, "line", None), error.column) if at]
                raise DataError(f"{':'.join([name, *place])}: {error}") from None
            try:
                record = reader.record(entry)
            except DataError as error:
                pipe.reject(Line(_shown(entry), name, place), error)
                continue
            if record is not None:
                yield Line(_in_split(record, reader), name, place)
    for record in reader.rest():
        yield Line(_in_split(record, reader), name, "at the end")


def _in_split(record: dict, reader) -> dict:
    return {**record, "split": reader.options.split} if reader.options.split else record


def _shown(entry):
    """An entry as a rejected record shows it."""
    if isinstance(entry, tuple):  # (what was found, what is known around it)
        entry = entry[0]
    if isinstance(entry, bytes):
        return entry.decode("utf-8", "replace").strip()
    if isinstance(entry, dict):
        entry = {str(column): cell for column, cell in entry.items() if column is not None}
    return json.loads(json.dumps(entry, ensure_ascii=False).encode("utf-8", "replace"))


def _files(pipe, source: str):
    """(name, file) of every FILE and of every file in a zip; a tree's FILE is a folder, which is handed on as it is."""
    import io
    import zipfile

    if source == "tree":
        for folder in pipe.files or ["."]:
            yield folder, folder
        return
    for name, file in pipe.input().by_file():
        packed = source != "scores" and file.peek(4)[:4] == b"PK\x03\x04" and file.read()
        if not packed:
            yield name, file
            continue
        try:
            with zipfile.ZipFile(io.BytesIO(packed)) as archive:
                if "[Content_Types].xml" in archive.namelist():
                    raise DataError(f"{name}: found a workbook of Excel; expected a table (save as CSV UTF-8)")
                for member in archive.namelist():
                    if not member.endswith("/"):
                        with archive.open(member) as inside:
                            yield f"{name}/{member}", io.BufferedReader(cast(io.RawIOBase, inside))
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise DataError(f"{name}: damaged zip file ({error})") from None


def _write(pipe, lines, writer) -> None:
    """Every record through the writer; a .zip is gathered and packed at the end."""
    zipped = (pipe.out.path or "").endswith(".zip") and hasattr(writer, "MEMBER")
    gathered = []
    write = gathered.append if zipped else pipe.out.write
    lost = {}
    write(writer.begin())
    for line in lines:
        try:
            write(writer.add(line.record))
        except DataError as error:
            pipe.reject(line, error)
            continue
        lost |= dict.fromkeys(field for field in line.record if field not in writer.KEPT)
    write(writer.end())
    if zipped:
        from mma82cli.formats.packing import packed

        pipe.out.write(packed({writer.MEMBER: b"".join(gathered)}))
    for note in writer.notes():
        pipe.note(note)
    if lost:
        pipe.note(f"the format has no place for {', '.join(lost)}; left out")
