"""`mma82 extract-skeleton`: joints of the person in each clip."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from mma82cli.commands.options import Root, command, one_of, quiet_decoders
from mma82cli.pose import BACKENDS

Backend = one_of("auto", *BACKENDS)
Peak = Literal["subpixel", "argmax"]
Order = Literal["rgb", "bgr"]
Device = Literal["cpu", "cuda"]
Refine = Literal["none", "flow"]

BACKEND = "auto: by --model, else a production model that was fetched before, else mediapipe if installed"
BackendOption = Annotated[Backend, typer.Option("--backend", help=BACKEND)]
MODEL = "rtmpose-m and other public ones, a file, or dots (synth's people)"
ModelName = Annotated[str, typer.Option("--model", metavar="NAME|FILE", show_default=False, help=MODEL)]
DETECTOR = "finds the person where a record has no box: yolox-m, yolox-tiny, a file, or none"
Detector = Annotated[str, typer.Option("--detector", metavar="NAME|FILE", show_default="the model's own", help=DETECTOR)]
RefineOption = Annotated[Refine, typer.Option("--refine", help="flow: optical flow carries the joints, the network corrects")]
LayoutName = Annotated[str, typer.Option("--layout", metavar="NAME", help="joints wanted; coco133: hands and face too")]
Live = Annotated[bool, typer.Option("--live", help="'video' is a camera's number or a stream: a line a frame, as it comes")]
Jobs = Annotated[int, typer.Option("--jobs", metavar="N", min=1, show_default="a core each", help="processes")]
Shard = Annotated[str, typer.Option("--shard", metavar="I/N", show_default=False, help="do part I of N (1..N), told by the id")]
Resume = Annotated[str, typer.Option("--resume", metavar="FILE", show_default=False, help="append to FILE what it lacks")]
PeakOption = Annotated[Peak, typer.Option("--decode", help="between the network's bins, or its best bin (as rtmlib)")]
OrderOption = Annotated[Order, typer.Option("--channel-order", show_default="as the model's side-car says", help="of its input")]
DeviceOption = Annotated[Device, typer.Option("--device", help="cuda needs onnxruntime-gpu (vitpose: torch with CUDA)")]


@command(
    example="mma82 extract-skeleton --root videos --backend mediapipe clips.jsonl > skeletons.jsonl",
    takes="id video start end duration box",
    adds="layout keypoints fps width height num_frames times model warnings",
)
def run(
    pipe, backend: BackendOption = "auto", model: ModelName = None, detector: Detector = None,
    refine: RefineOption = "none", layout: LayoutName = "coco17", root: Root = ".", live: Live = False,
    jobs: Jobs = None, shard: Shard = None, resume: Resume = None, decode: PeakOption = "subpixel",
    channel_order: OrderOption = None, device: DeviceOption = "cpu",
) -> None:  # fmt: skip
    """Find the joints of the person in each clip, frame by frame: adds layout, keypoints, fps, width, height,
    num_frames (of the clip), times where the rate varies, model and warnings.

    The person is where the record's box is, else where --detector or the model itself finds them: the largest, most
    certain and most central one throughout the clip. A frame where nobody is found is null; gaps of up to half a second
    are bridged with score 0."""
    from mma82cli.pose.builder import settings_for
    from mma82cli.records import WrongUsage

    if resume and pipe.out.path:
        raise WrongUsage("--resume FILE is the output itself; leave -o out")
    if live and (jobs or resume or shard or refine != "none"):
        raise WrongUsage("--live takes frames as they come: leave --jobs, --resume, --shard and --refine out")
    part = _shard(shard)
    settings = settings_for(
        backend, model, detector, channel_order, pipe.note,
        layout=layout, device=device, peak=decode, refine=refine,
    )  # fmt: skip
    if live:
        _watch(pipe, settings)
    else:
        _extract(pipe, settings, jobs, root, part, resume)


def _extract(pipe, settings, jobs: int | None, root: str, part, resume: str | None) -> None:
    """All clips on `jobs` processes (None: one a core), in order."""
    from mma82cli.crew import cores
    from mma82cli.pose.resume import ResumeFile
    from mma82cli.pose.workers import Workers, in_order
    from mma82cli.records import DataError, WrongUsage

    with Workers(settings, jobs or cores()) as workers:
        title = workers.title()
        kept = ResumeFile(resume, {"model": title, "layout": settings.layout}) if resume else None
        said: set[str] = set()
        frames = 0
        with pipe.progress(total=pipe.total(), unit="clip") as bar:
            for line, result in in_order(_asked(pipe, root, part, kept, bar.update), workers):
                if isinstance(result, WrongUsage):
                    raise result
                if isinstance(result, DataError):
                    pipe.reject(line, result)
                    continue
                record = _enriched(line.record, result)
                if kept:
                    kept.append(record)
                else:
                    pipe.write(record)
                    pipe.out.flush()
                _tell(pipe, line, result, said)
                frames += record["num_frames"]
                bar.update()
                if not bar.disable:
                    bar.set_postfix_str(f"{frames / max(bar.format_dict['elapsed'], 1e-3):.0f} frames/s")


def _watch(pipe, settings) -> None:
    """A camera or a stream after the other, a line a frame."""
    quiet_decoders()
    from mma82cli.pose.builder import build_extractor
    from mma82cli.pose.live import live
    from mma82cli.records import DataError

    extract = build_extractor(settings)
    said: set[str] = set()
    for line in pipe.lines():
        try:
            clip = _clip(line.record, ".")
            for fields in live(clip.path, extract, clip.box):
                pipe.write(_enriched(line.record, fields))
                pipe.out.flush()
                _tell(pipe, line, fields, said)
        except DataError as error:
            pipe.reject(line, error)


def _shard(text: str | None) -> tuple[int, int] | None:
    from mma82cli.records import WrongUsage

    if text is None:
        return None
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(count) >= 1 and int(index) <= int(count)):
        raise WrongUsage(f"--shard is '{text}'; expected I/N with I from 1 to N")
    return int(index) % int(count), int(count)


def _asked(pipe, root, part, kept, passed):
    """(line, clip or the error) for each record that is this part's and not done yet; `passed` hears of the others."""
    from hashlib import blake2b

    from mma82cli.records import DataError, record_id

    for line in pipe.lines():
        try:
            if part:
                digest = blake2b(record_id(line.record).encode(), digest_size=8).digest()
                if int.from_bytes(digest, "big") % part[1] != part[0]:
                    passed()
                    continue
            if kept and kept.done(line.record):
                passed()
                continue
            clip = _clip(line.record, root)
        except DataError as error:
            clip = error
        yield line, clip


def _clip(record: dict, root: str):
    from mma82cli.pose.task import Clip
    from mma82cli.records import is_number, length_of, optional_span, video_path, wrong

    path = video_path(record, root)
    start, end = optional_span(record)
    box = record.get("box")
    if box is not None:
        good = isinstance(box, list) and len(box) == 4 and all(map(is_number, box))
        if not good or box[2] <= box[0] or box[3] <= box[1]:
            raise wrong("box", box, "[x1,y1,x2,y2] in pixels with x1 < x2 and y1 < y2")
        box = tuple(map(float, box))
    return Clip(path, start, end, box, length_of(record))


def _enriched(record: dict, fields: dict) -> dict:
    """The record with the new fields, those it had in their place; an earlier extraction's `times` and `warnings` go."""
    if "keypoints" in record:
        record = {k: v for k, v in record.items() if k in fields or k not in ("times", "warnings")}
    return {**record, **fields}


def _tell(pipe, line, fields: dict, said: set[str]) -> None:
    """What a person should know of how a clip was extracted, in one line; a box that is missing is told of once."""
    told = [w for w in fields.get("warnings", []) if not w.startswith("no person in") and "filled" not in w]
    once = [w for w in told if w.startswith("no 'box'")]
    told = [w + " (said once)" if w in once else w for w in told if w not in said]
    said.update(once)
    if told:
        pipe.note(f"{line.place}: {line.record['video']}: {'; '.join(told)}")
