"""`mma82 fuse`: what several models say of a clip made one (Table VII)."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from mma82cli.commands.options import Seed, Target, TaxonomyName, command
from mma82cli.records import DataError, WrongUsage, warnings_of

Method = Literal["weights", "mlp", "mean"]

EXAMPLE = """
mma82 fuse --method mlp --taxonomy emotion8 --target emotion --pool clip faces.jsonl segments.jsonl > both.jsonl
mma82 score --taxonomy emotion8 --target emotion --split test both.jsonl
mma82 fuse skeleton.jsonl rgb.jsonl | mma82 score --split test --compare rgb.jsonl
"""

DETAILS = """
Each FILE is a stream: its `scores` (as infer and emotion-mlp write them), or where it has none its `face`; one FILE alone
gives both. Clips are joined by id, and by run where there is one (a stream without runs goes with every run). --pool clip:
records that carry `clip` are segments of the clip of that name, and what they say is averaged. A record of the output has
the fields in which its sources agree; others go into `sources`.

Probabilities become logarithms (below 0.000001 they count as that), and all are centred on the mean of their labels.

\b
  weights  summed, with weights of at least 0 fitted on val (cross-entropy)
  mlp      Table VII: side by side, given to the network of Algorithm 1, five
           times: each learns from four fifths of the val clips, by subject where
           every one has it, and chooses its epoch by the last; their mean
           answers. Labels may be any, such as 82 actions or 7 faces for 8
           emotions. It has to learn what a label is, and so needs many val
           clips of each: of 82 labels, weights do better
  mean     averaged; nothing is fitted

weights and mean look labels up in the taxonomy: a label that a stream lacks (a face model's melancholy) gets that stream's
mean, one that the taxonomy lacks is left out. Truth is read of val clips alone: what is tested teaches nothing. Without val
clips the streams are averaged, and a line says so. A clip that a stream is missing of (no face was found) is told from the
others; without any it gets the same score for every label, and a warning.
"""

MethodOption = Annotated[Method, typer.Option("--method", help="how streams become one (see above)")]
Pool = Annotated[str, typer.Option("--pool", metavar="FIELD", show_default=False, help="names the clip of a segment")]


@command(
    example=EXAMPLE, details=DETAILS,
    takes="id run split subject scores scores_kind taxonomy face",
    adds="scores taxonomy sources warnings",
)
def run(
    pipe, method: MethodOption = "weights", pool: Pool = None, taxonomy: TaxonomyName = "mma82", target: Target = "label",
    seed: Seed = 0,
) -> None:  # fmt: skip
    """Fuse the scores that several models give the same clips: skeleton and video, face and micro-actions."""
    import numpy as np

    from mma82cli.emotion import fusion
    from mma82cli.emotion.joining import Join
    from mma82cli.taxonomy import load_taxonomy

    join = Join(load_taxonomy(taxonomy), target, pool)
    _read(pipe, join)
    clips, values, present = joined = join.finish()
    _tell(pipe, join, present)
    truth = join.truth(clips, "val")
    z = [fusion.centred(v, stream.logits) for v, stream in zip(values, join.streams, strict=True)]
    z = [np.where(present[:, s : s + 1], v, 0) for s, v in enumerate(z)]
    if method != "mean" and not (truth >= 0).any():
        pipe.note(f"no val clips with a '{target}' to fit {method} on: the streams are averaged")
        method = "mean"
    if method == "mlp":
        scores = _network(clips, z, present, truth, len(join.taxonomy), seed)
    else:
        same = _placed(pipe, join, z)
        if method == "weights":
            weights = fusion.fit_weights(same[:, truth >= 0], truth[truth >= 0])
            told = ", ".join(f"{w:.2f} {stream.name}" for w, stream in zip(weights, join.streams, strict=True))
            pipe.note(f"weights fitted on {(truth >= 0).sum()} val clips: {told}")
            scores = fusion.softmax(np.tensordot(weights, same, 1))
        else:
            scores = fusion.average(same, present)
    _write(pipe, join, joined, scores)


def _read(pipe, join) -> None:
    """Every FILE, a stream or two each."""
    from mma82cli.stream import Pipe

    files = pipe.files or ["-"]
    for file in files:
        source = Pipe(pipe.command, [file], quiet=pipe.quiet, on_error=pipe.on_error)
        name = "<stdin>" if file == "-" else file
        streams = join.open(name, source.peek(), len(files) == 1)
        for line in pipe.progress(source.lines()):
            try:
                join.add(streams, line.record, line.place)
            except DataError as error:
                source.reject(line, error)
        pipe.skipped += source.skipped


def _tell(pipe, join, present) -> None:
    """Says which streams are missing of how many clips."""
    for stream, there in zip(join.streams, present.T, strict=True):
        if not there.all():
            pipe.note(f"{int((~there).sum())} of {len(there)} clips are without {stream.name}")


def _network(clips, z, present, truth, classes: int, seed: int):
    import numpy as np
    import torch

    from mma82cli.emotion import fusion

    torch.set_num_threads(1)  # more cost more than products of such small matrices take
    subjects = [next((r["subject"] for r in clip.records if r.get("subject")), None) for clip in clips]
    known = all(subject for subject, y in zip(subjects, truth, strict=True) if y >= 0)
    names = [str(subject) for subject in subjects] if known else [str(i) for i in range(len(clips))]
    person = np.unique(names, return_inverse=True)[1]
    if len(set(person[truth >= 0].tolist())) < 2:
        raise DataError("the val clips are of one subject; expected two, to choose the epoch by (--method weights needs one)")
    return fusion.network(fusion.inputs(z, present, truth >= 0), truth, person, classes, seed)


def _placed(pipe, join, z: list):
    """(S, N, K) the streams by the taxonomy's labels. Raises WrongUsage where a stream knows none of them."""
    import numpy as np

    from mma82cli.emotion import fusion

    labels, out = join.taxonomy, []
    for stream, values in zip(join.streams, z, strict=True):
        ids = [labels.ids.get(name, labels.ids.get(name.casefold())) for name in stream.labels]
        strangers = [name for name, i in zip(stream.labels, ids, strict=True) if i is None]
        if stream.labels and len(strangers) == len(ids):
            raise WrongUsage(f"{stream.name} knows no label of {labels.name}; expected --method mlp, or another --taxonomy")
        if strangers:
            pipe.note(f"{', '.join(strangers)} of {stream.name}: no labels of {labels.name}, left out")
        kept = [j for j, i in enumerate(ids) if i is not None]
        out.append(fusion.placed(values[:, kept], [ids[j] for j in kept], len(labels)))
    return np.stack(out)


def _write(pipe, join, joined, scores) -> None:
    import numpy as np

    from mma82cli.emotion.joining import merged

    clips, _, present = joined
    for clip, row, there in zip(clips, scores.astype(np.float32), present, strict=True):
        record = merged(clip)
        if not there.any():
            record["warnings"] = [*warnings_of(record), "no stream knows the clip"]
            row = np.full_like(row, 1 / len(row))
        pipe.write(record | {"scores": row, "taxonomy": join.taxonomy.name})
