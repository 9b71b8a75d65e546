"""Which clips are split, and which are test as a whole: the three protocols of the benchmark."""

from __future__ import annotations

from math import fsum
from typing import Any, NamedTuple

from mma82cli.protocol.counting import Clips
from mma82cli.records import SPLITS, DataError, WrongUsage, show

SHOWN = 8  # classes that a note names


class Made(NamedTuple):
    """For clip i its `splits[i]` (None: in no part of the protocol), `support[i]` (None: no target clip), and
    `protocols[i]`: what its score will be a result of (None: nothing but in-domain results here)."""

    splits: list[str | None]
    support: list[list[int] | None]
    protocols: list[str | None]
    notes: list[str]


def parse_ratio(ratio: str) -> dict[str, float]:
    """split -> share, of "3:1:1" (train:val:test) or "4:1" (train:test). Raises WrongUsage."""
    try:
        parts = [float(part) for part in ratio.split(":")]
    except ValueError:
        parts = []
    if len(parts) not in (2, 3) or not all(0 <= part < float("inf") for part in parts) or not sum(parts):
        raise WrongUsage(f"--ratio is {ratio!r}; expected shares of train:val:test such as 3:1:1, or of train:test")
    names = SPLITS if len(parts) == 3 else ("train", "test")
    return {name: part / fsum(parts) for name, part in zip(names, parts, strict=True) if part}


class Plan(NamedTuple):
    """`in-domain`, or `zero-shot` or `few-shot` from `source` domains to `target` domains (none: all others). With
    `common_queries`, or `disjoint` groups, some clips are kept for support and are never a query."""

    protocol: str = "in-domain"
    source: list[str] = []
    target: list[str] = []
    shots: int = 5
    runs: int = 20
    seed: int = 0
    within: str = "domain"
    common_queries: bool = False
    disjoint: bool = False

    def check(self) -> None:
        """Raises WrongUsage where the options contradict each other."""
        if self.protocol == "in-domain":
            if self.source or self.target:
                raise WrongUsage("--source and --target belong to --protocol zero-shot or few-shot")
            if self.common_queries or self.disjoint:
                raise WrongUsage("--common-queries and --disjoint-subjects belong to --protocol zero-shot or few-shot")
        elif not self.source and not self.target:
            raise WrongUsage(f"--protocol {self.protocol} needs --source DOMAIN (such as laboratory), or --target DOMAIN")
        elif not self.within:
            raise WrongUsage(f"--protocol {self.protocol} needs the field of the domain; --within is empty")
        both = sorted(set(self.source) & set(self.target))
        if both:
            raise WrongUsage(f"domain {show(both[0])} is both --source and --target")

    def choices(self) -> dict:
        """What the plan's result is a function of, for a signature."""
        choices: dict[str, Any] = {"protocol": self.protocol, "source": ",".join(self.source), "target": ",".join(self.target)}
        if self.protocol == "few-shot":
            choices |= {"shots": self.shots, "runs": self.runs}
        queries = "disjoint" if self.disjoint else "common" if self.common_queries else ""
        return {name: value for name, value in (choices | {"queries": queries}).items() if value} | {"seed": self.seed}

    def make(self, clips: Clips, shares: dict[str, float], like: dict[str, str]) -> Made:
        """Splits for all clips; groups in `like` (group -> split) stay there. Raises DataError or WrongUsage."""
        source, target = self._parts(clips)
        splits: list[str | None] = [None] * len(clips)
        notes = []
        if source:
            splits, notes = self._split(clips, source, shares, like)
        pool = self._pool(clips, target)
        for i, kept in zip(target, pool or [False] * len(target), strict=True):
            splits[i] = None if kept else "test"
        if pool:
            notes.append(f"{sum(pool)} clips of the target domains are kept for support and get no split; the others are queries")
        support: list[list[int] | None] = [None] * len(clips)
        if self.protocol == "few-shot":
            self._support(clips, target, support, notes, pool)
        left = len(clips) - len(source) - len(target)
        if left:
            notes.append(f"{left} records of other domains than {', '.join(self.source + self.target)} get no split")
        protocols: list[str | None] = [None] * len(clips)
        if self.protocol != "in-domain":
            for part, protocol in ((source, "in-domain"), (target, self.protocol)):
                for i in part:
                    protocols[i] = protocol if splits[i] or support[i] is not None else None
        return Made(splits, support, protocols, notes)

    def _parts(self, clips: Clips) -> tuple[list[int], list[int]]:
        """Clips of the source domains, and of the target domains."""
        if self.protocol == "in-domain":
            return list(range(len(clips))), []
        names = clips.domains.values
        for name in self.source + self.target:
            if len(clips) and name not in clips.domains.numbers:
                seen = ", ".join(map(show, names)) or "none"
                raise DataError(f"no record has {self.within} {show(name)}; the input has {seen}")
        source = [n in self.source if self.source else n not in self.target for n in names] + [False]
        target = [n in self.target if self.target else n not in self.source for n in names] + [False]
        return [i for i, d in enumerate(clips.domain) if source[d]], [i for i, d in enumerate(clips.domain) if target[d]]

    def _split(self, clips: Clips, chosen: list[int], shares: dict[str, float], like: dict[str, str]):
        import numpy as np

        from mma82cli.protocol.splits import assign

        groups, classes, domains = clips.tables(chosen)
        names = list(shares)
        group_names = clips.groups.values
        named = [like.get(group_names[g]) for g in groups.tolist()]
        strange = sorted({f for f in named if f is not None and f not in names})
        if strange:
            raise WrongUsage(f"groups are fixed in {strange[0]}, which has no share in --ratio")
        fixed = np.array([-1 if f is None else names.index(f) for f in named], int)
        found = assign(classes, domains, list(shares.values()), self.seed, fixed)
        of_group = dict(zip(groups.tolist(), found.tolist(), strict=True))
        splits: list[str | None] = [None] * len(clips)
        for i in chosen:
            splits[i] = names[of_group[clips.group[i]]]
        return splits, _notes(clips, classes, names, found)

    def _cells(self, clips: Clips, target: list[int]) -> list[tuple[int, int]]:
        """(domain, class) of the target clips. Raises DataError where one is no clip of one label."""
        for i in target:
            if len(clips.classes[i]) != 1:
                raise DataError("few-shot takes clips of one label; the target domains have untrimmed records (segments)")
        return [(clips.domain[i], clips.classes[i][0]) for i in target]

    def _pool(self, clips: Clips, target: list[int]) -> list[bool] | None:
        """Which target clips are kept for support; None where any may be it, and a query in other runs."""
        from mma82cli.protocol.shots import clip_pool, group_pool

        if self.disjoint:
            return group_pool(self._cells(clips, target), [clips.group[i] for i in target], self.shots, self.seed)
        return clip_pool(self._cells(clips, target), self.shots, self.seed) if self.common_queries else None

    def _support(self, clips: Clips, target: list[int], support: list, notes: list[str], pool: list[bool] | None) -> None:
        from mma82cli.protocol.shots import support_runs

        cells = self._cells(clips, target)
        for i, runs in zip(target, support_runs(cells, self.shots, self.runs, self.seed, pool), strict=True):
            support[i] = runs
        available = dict.fromkeys(cells, 0 if pool else -1)  # without a pool one clip of each is a query
        for k, cell in enumerate(cells):
            available[cell] += pool[k] if pool else 1
        short = [cell for cell, n in available.items() if n < self.shots]
        if short:
            domains, labels = clips.domains.values, clips.labels.values
            shown = [f"{labels[c]} in {domains[d]} ({available[d, c]})" for d, c in short]
            which = f"{len(short)} classes of a target domain have fewer than {self.shots} clips for support"
            notes.append(f"{which}: {_some(shown)}")


def _notes(clips: Clips, classes, names: list[str], found) -> list[str]:
    """What can't be split as wanted. classes (G, C); found (G,) splits."""
    if 0 < len(classes) < len(names):
        groups = f"{len(classes)} group{'s' if len(classes) > 1 else ''}"
        return [f"{groups} (field '{clips.field['group']}') for {len(names)} splits: some stay empty"]
    labels, held = clips.labels.values, (classes > 0).sum(0).tolist()
    spread = sum((classes[found == s].sum(0) > 0).astype(int) for s in range(len(names)))
    missing = [c for c, n in enumerate(spread.tolist()) if 0 < n < len(names)]
    few = [f"{labels[c]} ({held[c]})" for c in missing if held[c] < len(names)]
    others = [str(labels[c]) for c in missing if held[c] >= len(names)]
    said = []
    if few:
        said.append(f"{len(few)} classes cannot be in all {len(names)} splits, for too few groups have them: {_some(few)}")
    if others:
        said.append(f"{len(others)} classes are missing in a split, where they would upset the rest: {_some(others)}")
    return said


def _some(words: list[str]) -> str:
    return ", ".join(words[:SHOWN]) + (f", and {len(words) - SHOWN} more" if len(words) > SHOWN else "")
