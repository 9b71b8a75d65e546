"""`mma82 synth`: the embedded data set."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from mma82cli.commands.options import Seed, command, quiet_decoders
from mma82cli.records import WrongUsage

Kind = Literal["skeleton", "video", "detection", "annotations", "emotion"]
KindOption = Annotated[Kind, typer.Option("--kind", help="what to make (see above)")]
Clips = Annotated[
    int, typer.Option("--clips", metavar="N", show_default=False, help="clips (annotations: actions; detection: videos)")
]
Subjects = Annotated[int, typer.Option("--subjects", metavar="N", show_default=False, help="people, of all domains together")]
Classes = Annotated[
    int, typer.Option("--classes", metavar="N", show_default=False, help="the N most frequent labels that joints can tell")
]
Labels = Annotated[list[str], typer.Option("--labels", metavar="NAME,…", show_default=False, help="these labels alone")]
Domains = Annotated[
    list[str], typer.Option("--domains", metavar="NAME,…", show_default=False, help="laboratory,psychiatric,street,television")
]
Videos = Annotated[str, typer.Option("--videos", metavar="DIR", show_default=False, help="render video files into DIR")]
Jobs = Annotated[int, typer.Option("--jobs", metavar="N", show_default=False, help="processes; a core each by default")]


@command(
    reads=False,
    example="mma82 synth --classes 16 --clips 600 > skeletons.jsonl\n"
    "mma82 synth --kind annotations --clips 600 --classes 16 --videos videos > annotations.jsonl",
    writes="id video start end label subject domain layout keypoints width height fps num_frames annotator "
    "segments emotion actions duration",
)
def run(
    pipe,
    kind: KindOption = "skeleton",
    clips: Clips = None,
    subjects: Subjects = None,
    classes: Classes = None,
    labels: Labels = None,
    domains: Domains = None,
    videos: Videos = None,
    seed: Seed = 0,
    jobs: Jobs = None,
) -> None:
    """Make synthetic people who perform the 82 micro-actions, in four domains.

    Kinds: skeleton, trimmed clips as joints (39,816 of 454 subjects, as in the paper, unless --clips says less);
    video, the same rendered to files; annotations, source videos of several actions as three annotators mark them;
    detection, untrimmed videos with overlapping actions; emotion, lists of micro-actions with the emotion they tell
    (with --videos also a film of each: its actions one after the other).
    Rendered people wear markers, which `extract-skeleton --model dots` finds.
    Of --clips N clips no domain and no label gets less than half of an even share.
    """
    from mma82cli.synth import dataset, make

    for option, value in (("--clips", clips), ("--subjects", subjects), ("--jobs", jobs)):
        if value is not None and value < 1:
            raise WrongUsage(f"{option} is {value}; expected at least 1")
    if seed < 0:
        raise WrongUsage(f"--seed is {seed}; expected at least 0")
    if kind == "video" and videos is None:
        raise WrongUsage("--kind video needs --videos DIR, the folder to render into")
    if videos is not None and kind == "skeleton":
        raise WrongUsage("--kind skeleton renders nothing; --kind video makes the same clips with --videos")
    known = dataset.facts()
    where = _domains(domains, list(known.domains))
    if labels and classes is not None:
        raise WrongUsage("--labels names the labels, --classes counts them; expected one of the two")
    ids = dataset.named_classes(known, _names(labels)) if labels else dataset.chosen_classes(known, classes)
    render = _renderer(videos) if videos is not None else {}
    if kind == "emotion":
        total = clips or 100 * len(known.emotions)
        made = make.emotions(known, ids, total, subjects, seed)
        if videos is None:
            for record in pipe.progress(made, total):
                pipe.write(record)
            return None
        return _make(pipe, make.emotion_jobs(known, made, seed, **render), videos, jobs)
    count, wanted = clips, None
    if kind == "detection":
        wanted = clips or known.detection["videos"]
        count = clips and max(1, round(clips * known.instances.sum() / known.detection["videos"]))
    plan = dataset.plan(known, count, subjects, ids, where, seed, videos=wanted)
    if len(plan.domains) < len(where):
        pipe.note(f"{len(plan.subjects)} subject(s) for {len(where)} domains: only {', '.join(plan.domains)}")
    return _make(pipe, make.jobs(kind, plan, known, seed, wanted and min(wanted, len(plan)), **render), videos, jobs)


def _names(given: list[str]) -> list[str]:
    return [name.strip() for part in given for name in part.split(",")]


def _domains(given: list[str] | None, known: list[str]) -> list[str]:
    """The domains asked for, in the paper's order. Raises WrongUsage."""
    names = _names(given or known)
    for name in names:
        if name not in known:
            raise WrongUsage(f"--domains has '{name}'; expected of {', '.join(known)}")
    return [name for name in known if name in names]


def _renderer(videos: str) -> dict:
    """What the jobs are to know of the folder `videos`, which is made. Raises WrongUsage."""
    import os
    from pathlib import Path

    quiet_decoders()
    from mma82cli.synth.render import codec

    if os.path.exists(videos) and not os.path.isdir(videos):
        raise WrongUsage(f"--videos is {videos}, a file; expected a folder")
    Path(videos).mkdir(parents=True, exist_ok=True)
    suffix, letters = codec()
    return {"videos": videos, "suffix": suffix, "letters": letters}


def _make(pipe, todo: list, videos: str | None, processes: int | None) -> None:
    from mma82cli import crew
    from mma82cli.synth import make

    with pipe.progress(total=len(todo), unit="video" if videos else "rec") as bar:
        for records in crew.run(make.work, todo, min(processes or crew.cores(), len(todo))):
            for record in records:
                pipe.write(make.written(record))
            bar.update()
