"""`mma82 extract-face`: what a model of expressions says of the face in each clip."""

from __future__ import annotations

from typing import Annotated

import typer

from mma82cli.commands.options import Root, command, quiet_decoders

Frames = Annotated[int, typer.Option("--frames", metavar="N", min=1, help="frames of a clip that are looked at")]


@command(
    example="mma82 extract-face --root videos skeletons.jsonl > faces.jsonl\n"
    "mma82 fuse --taxonomy emotion8 --target emotion faces.jsonl actions.jsonl > both.jsonl",
    takes="video start end layout keypoints",
    adds="face warnings",
)
def run(pipe, frames: Frames = 8, root: Root = ".") -> None:
    """Add `face`, the expression of the face in each clip, by deepface (pip install 'mma82[face]'): its seven labels, and for
    each the mean over some frames of its centred logits.

    The face is where the joints of the head say (extract-skeleton finds them), in N frames in which they are seen, evenly
    spread; nothing is searched for. Where no head is seen `face` is null, and a warning says so. deepface fetches its weights
    when it is first used. `fuse` takes what comes out, and any other model's `face` too."""
    quiet_decoders()
    from functools import cache

    from mma82cli.face.look import DeepFace, look
    from mma82cli.records import DataError, optional_span, video_path, warnings_of
    from mma82cli.video import Reader

    reader, model, without = Reader(), cache(DeepFace), 0
    for line in pipe.progress(pipe.lines(), total=pipe.total(), unit="clip"):
        record = line.record
        try:
            face = look(record, video_path(record, root), optional_span(record), model, reader, frames)
        except DataError as error:
            pipe.reject(line, error)
            continue
        added: dict = {"face": face}
        if face is None:
            without += 1
            added["warnings"] = [*warnings_of(record), "no face is seen"]
        pipe.write({**record, **added})
        pipe.out.flush()
    if without:
        pipe.note(f"no face is seen in {without} clip(s)")
