"""The kinds of records that the embedded data set comes as: jobs in order, and the work of one.

A job is small and complete: any process makes the same records of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from mma82cli.synth import scene
from mma82cli.synth.annotators import annotate
from mma82cli.synth.dataset import Facts, Plan, parts
from mma82cli.synth.estimator import observe

PER_VIDEO = 6  # actions in a source video
EMOTION_MORE = 2.2  # micro-actions of an emotion clip beyond the first, on average
EMOTION_PULL = 0.35  # of them that the emotion calls for


class Job(NamedTuple):
    """One file, or one record. `videos` is the folder to render into, or None."""

    kind: str
    seed: int
    number: int
    labels: list[str]
    legs: list[bool]
    domain: str
    subject: str
    name: str
    pool: list[list[str]]  # for each label those that annotators may take it for
    videos: str | None = None
    suffix: str = ""
    letters: str = ""
    told: dict | None = None  # fields of the record that are known beforehand


def jobs(kind: str, plan: Plan, known: Facts, seed: int, videos_wanted: int | None = None, **render) -> list[Job]:
    """The jobs of a plan: a clip each, or a video of several actions each, adjacent in the order of the output."""
    out = []
    for number, rows in enumerate(_groups(kind, plan, seed, videos_wanted)):
        ids = plan.label[rows]
        who, where = plan.subjects[plan.subject[rows[0]]], plan.domains[plan.domain[rows[0]]]
        name = {"skeleton": "clip", "video": "clip", "annotations": "source", "detection": "scene"}[kind]
        pools = [_neighbours(known, plan, i) for i in ids] if kind == "annotations" else []
        out.append(Job(kind, seed, number, [known.labels[i] for i in ids], [known.body[i] in scene.LEGS for i in ids], where, who,
                       f"{who}_{name}{number:05d}", pools, **render))  # fmt: skip
    return out


def _groups(kind: str, plan: Plan, seed: int, videos_wanted: int | None) -> Iterator[np.ndarray]:
    """Rows of the plan that share a file; those of one subject are neighbours in a plan."""
    if kind in ("skeleton", "video"):
        yield from np.arange(len(plan))[:, None]
        return
    bounds = np.flatnonzero(np.diff(plan.subject, prepend=-1, append=-1))
    runs = [np.arange(a, b) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    if kind == "annotations":
        for rows in runs:
            yield from np.array_split(rows, -(-len(rows) // PER_VIDEO))
        return
    rng = scene.generator(seed, scene.DETECTION)
    for rows, count in zip(runs, parts(videos_wanted, np.array([len(r) for r in runs], float), least=1), strict=True):
        cuts = np.sort(rng.choice(np.arange(1, len(rows)), min(int(count), len(rows)) - 1, replace=False))
        yield from np.split(rows, cuts)


def _neighbours(known: Facts, plan: Plan, label: int) -> list[str]:
    """The plan's other labels of the same body group."""
    return [known.labels[i] for i in np.unique(plan.label) if i != label and known.body[i] == known.body[label]]


def emotion_jobs(known: Facts, records: Iterable[dict], seed: int, **render) -> list[Job]:
    """A video of each record of `emotions`: its actions, one after the other."""
    body, out = dict(zip(known.labels, known.body, strict=True)), []
    for number, told in enumerate(records):
        legs = [body[action] in scene.LEGS for action in told["actions"]]
        names = told["domain"], told["subject"], told["id"]
        out.append(Job("emotion", seed, number, told["actions"], legs, *names, [], **render, told=told))
    return out


def work(job: Job) -> list[dict]:
    """The records of one job; renders its video where one is wanted."""
    makers: dict[str, Callable[..., scene.Scene]] = {
        "skeleton": scene.clip, "video": scene.clip, "annotations": scene.source, "detection": scene.untrimmed,
        "emotion": scene.source,
    }  # fmt: skip
    args = (job.labels[0], job.legs[0]) if job.kind in ("skeleton", "video") else (job.labels, job.legs)
    made = makers[job.kind](job.seed, job.number, *args, job.domain, job.subject)
    people = {"subject": job.subject, "domain": job.domain}
    video = {"video": job.name + (job.suffix or ".mp4")}
    lines = []
    if job.kind == "annotations":
        for line in annotate(made.deeds, made.duration, dict(zip(job.labels, job.pool, strict=True)).get, made.rng):
            lines.append({**video, **line, **people, "duration": round(made.duration, 3)})
    if job.videos is not None:
        from mma82cli.synth.render import write_video

        write_video(made, Path(job.videos) / video["video"], job.letters)
    if job.kind == "annotations":
        return lines
    record: dict[str, Any] = {"id": job.name, **(video if job.videos is not None else {}), **people, **(job.told or {})}
    if job.kind in ("skeleton", "video"):
        record["label"] = job.labels[0]
    record |= made.file_fields()
    if job.kind == "detection":
        record["segments"] = [{"start": round(d.start, 3), "end": round(d.end, 3), "label": d.label} for d in made.deeds]
    if job.videos is None:
        record |= {"layout": "coco17", "keypoints": _keypoints(made)}
    return [record]


def _keypoints(made: scene.Scene) -> bytes:
    """The estimator's joints as JSON, so that a process hands over bytes and not a million numbers."""
    from mma82cli.skeleton.keypoints import to_record

    return orjson.dumps(to_record(*observe(made.skeleton, made.view, made.rng)))


def written(record: dict) -> dict:
    """The record as it is to be written (its keypoints are JSON already)."""
    if "keypoints" in record:
        record["keypoints"] = orjson.Fragment(record["keypoints"])
    return record


def emotions(known: Facts, ids: np.ndarray, clips: int, subjects: int | None, seed: int) -> Iterator[dict]:
    """Emotion clips: what a person does in each follows Fig. 6, and a face model saw it too, dimly."""
    names, labels = list(known.emotions), [known.labels[i] for i in ids]
    background = np.sqrt(known.instances[ids]) / np.sqrt(known.instances[ids]).sum()
    faces = [name for name in names if name != "melancholy"]
    people = known.domains["television"]["subjects"] if subjects is None else subjects
    for index in range(clips):
        rng = scene.generator(seed, scene.EMOTION, index)
        emotion = names[index % len(names)]
        facts = known.emotions[emotion]
        called = [label for label in facts["actions"] if label in labels]
        weights = np.array([2.5 if label == facts["strongest"] else 1.0 for label in called])
        actions = []
        for _ in range(1 + rng.poisson(EMOTION_MORE)):
            if called and rng.random() < EMOTION_PULL:
                actions.append(called[rng.choice(len(called), p=weights / weights.sum())])
            else:
                actions.append(labels[rng.choice(len(labels), p=background)])
        shown = {"melancholy": "sad"}.get(emotion, emotion)
        logits = rng.normal(0, 1, len(faces)) + 0.9 * np.array([name == shown for name in faces])
        yield {
            "id": f"emotion{index:05d}", "subject": f"tel{int(rng.integers(people)):03d}", "domain": "television",
            "emotion": emotion, "actions": actions, "face": {"labels": faces, "logits": [round(float(v), 4) for v in logits]},
        }  # fmt: skip
