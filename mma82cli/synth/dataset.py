"""Who does what where: the embedded data set's clips, with Table II's domains and subjects and Fig. 3's classes.

Of all classes and domains, without a number of clips, the plan is the paper's: 39,816 clips of 454 subjects. A smaller
one keeps the proportions, but lifts what is rare (`FLOOR`), so that a few hundred clips are still worth training on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from mma82cli import share
from mma82cli.records import WrongUsage
from mma82cli.synth.motions import FINGERS
from mma82cli.taxonomy import load_taxonomy

FLOOR = 0.5  # of an even share: no class or domain gets less in a plan of a given number of clips
RARE = 70  # classes with fewer clips in Fig. 3 are performed by invited subjects
INVITED = 0.08  # of the subjects of the first domain


@dataclass(frozen=True)
class Facts:
    """The paper's figures (share/mma82/synth/dataset.json), in the order of the taxonomy."""

    domains: dict[str, dict]
    labels: list[str]
    body: list[int]
    clips: np.ndarray  # (82,)
    instances: np.ndarray  # (82,)
    detection: dict[str, int]
    emotions: dict[str, dict]


def facts() -> Facts:
    """Reads the paper's figures."""
    data = json.loads((share.share_dir() / "synth" / "dataset.json").read_text(encoding="utf-8"))
    taxonomy = load_taxonomy("mma82")
    counts = [data["classes"][name] for name in taxonomy.names]
    return Facts(
        domains=data["domains"], labels=taxonomy.names, body=taxonomy.body,
        clips=np.array([c["clips"] for c in counts]), instances=np.array([c["instances"] for c in counts]),
        detection=data["detection"], emotions=data["emotions"],
    )  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """A row a clip, in the order of the output: domain by domain, subject by subject. Ids are places in the lists."""

    domains: list[str]
    subjects: list[str]  # names
    label: np.ndarray  # (N,) ids of the taxonomy
    domain: np.ndarray  # (N,)
    subject: np.ndarray  # (N,)

    def __len__(self) -> int:
        return len(self.label)


def chosen_classes(known: Facts, classes: int | None) -> np.ndarray:
    """Ids of the `classes` most frequent labels: first those that joints can tell, then those only fingers show.

    Raises WrongUsage.
    """
    total = len(known.labels)
    if classes is None:
        return np.arange(total)
    if not 1 <= classes <= total:
        raise WrongUsage(f"--classes is {classes}; expected 1 to {total}")
    hidden = [name in FINGERS for name in known.labels]
    order = sorted(range(total), key=lambda i: (hidden[i], -known.clips[i], i))
    return np.sort(order[:classes])


def named_classes(known: Facts, names: list[str]) -> np.ndarray:
    """Ids of the labels named. Raises WrongUsage."""
    for name in names:
        if name not in known.labels:
            raise WrongUsage(f"--labels has '{name}'; expected labels of mma82, with a comma between them (`mma82 labels`)")
    return np.array(sorted({known.labels.index(name) for name in names}))


def parts(total: int, weights: np.ndarray, least: int = 0) -> np.ndarray:
    """`total` split into whole parts in proportion to `weights` (largest remainders), none below `least`."""
    exact = weights / weights.sum() * total
    out = np.maximum(np.floor(exact).astype(np.int64), least)
    while out.sum() != total:
        gap = exact - out
        if out.sum() < total:
            out[np.argsort(-gap, kind="stable")[: total - out.sum()]] += 1
        else:
            out[int(np.argmin(np.where(out > least, gap, np.inf)))] -= 1
    return out


def plan(known: Facts, clips: int | None, subjects: int | None, ids: np.ndarray, domains: list[str], seed: int,
         videos: int | None = None) -> Plan:
    """The clips to make of the labels `ids`; `clips` and `subjects` None: as many as the paper has.

    `videos` plans `clips` instances of that many untrimmed videos instead. Where there are fewer subjects than domains the last
    domains are left out, for a subject is at home in one.
    """  # fmt: skip
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    tables = [known.domains[d] for d in domains]
    in_domain, crowd = (np.array([float(table[key]) for table in tables]) for key in ("clips", "subjects"))
    frequency = (known.instances if videos else known.clips)[ids].astype(float)
    level = (lambda weights: weights) if clips is None else lifted
    if clips is None:
        part = in_domain.sum() / sum(d["clips"] for d in known.domains.values())
        clips = max(1, round(frequency.sum() * part))
        usual = known.detection["subjects"] if videos and part == 1 else int(crowd.sum())
    else:
        usual = max(len(domains), round(2.3 * clips**0.5))
    people = min(usual, int(crowd.sum())) if subjects is None else subjects
    people = min(people, videos or clips)
    if people < len(domains):
        domains, in_domain, crowd = domains[:people], in_domain[:people], crowd[:people]
    n_class, n_domain = parts(clips, level(frequency)), parts(clips, level(in_domain), least=1)
    n_people = crowd.astype(np.int64) if people == crowd.sum() else parts(people, level(crowd), least=1)
    n_people = np.minimum(n_people, n_domain)
    invited = (known.clips[ids] < RARE) & (len(ids) > 40 and len(domains) > 1)
    label, domain = _labels_by_domain(n_class, n_domain, invited, rng)
    subject, names = np.zeros(clips, np.int64), []
    for j, name in enumerate(domains):
        mine = np.flatnonzero(domain == j)
        subject[mine] = len(names) + _performers(label[mine], int(n_people[j]), invited & (j == 0), rng)
        names += [f"{name[:3]}{i:03d}" for i in range(n_people[j])]
    order = np.lexsort((rng.random(clips), subject, domain))
    return Plan(domains, names, ids[label[order]], domain[order], subject[order])


def lifted(weights: np.ndarray) -> np.ndarray:
    """Shares (sum 1) in proportion to `weights`, but none below `FLOOR` of an even one."""
    shares, least = weights / weights.sum(), FLOOR / len(weights)
    low = shares < least
    while (shares[low] < least).any() or (shares[~low] < least).any():
        low |= shares < least
        shares = np.where(low, least, weights * (1 - least * low.sum()) / weights[~low].sum())
    return shares


def _labels_by_domain(n_class, n_domain, invited, rng) -> tuple[np.ndarray, np.ndarray]:
    """A label and a domain for each clip with exactly these totals; each domain favours labels of its own.

    Labels of `invited` subjects stay in the first domain.
    """
    label = np.repeat(np.arange(len(n_class)), n_class)
    favour = rng.normal(0, 0.5, (len(n_domain), len(n_class)))
    favour[1:, invited] = -np.inf
    domain = np.zeros(len(label), np.int64)
    free = np.ones(len(label), bool)
    for j in np.argsort(n_domain, kind="stable")[:-1]:  # the smallest chooses first; the largest takes what is left
        open_places = np.flatnonzero(free)
        keys = favour[j, label[open_places]] + rng.gumbel(size=len(open_places))
        taken = open_places[np.argsort(-keys, kind="stable")[: n_domain[j]]]
        domain[taken], free[taken] = j, False
    domain[free] = int(np.argsort(n_domain, kind="stable")[-1])
    return label, domain


def _performers(label: np.ndarray, people: int, invited: np.ndarray, rng) -> np.ndarray:
    """A person 0..people-1 for each clip of a domain: few have many clips, each has habits of their own, all have one."""
    crowd = max(1, round(people * INVITED)) if invited.any() else 0
    size = np.exp(rng.normal(0, 0.6, people))
    liking = rng.gamma(1.5, 1.0, (len(invited), people)) * size
    if crowd and people > crowd:
        liking[invited, : people - crowd] = 0.0
        liking[~invited, people - crowd :] *= 0.2
    share_of = np.cumsum(liking, axis=1)
    draws = rng.random(len(label)) * share_of[label, -1]
    who = np.minimum((share_of[label] <= draws[:, None]).sum(1), people - 1)
    for idle in np.flatnonzero(np.bincount(who, minlength=people) == 0):
        counts = np.bincount(who, minlength=people)
        if counts.max() > 1:
            who[rng.choice(np.flatnonzero(who == counts.argmax()))] = idle
    return who
