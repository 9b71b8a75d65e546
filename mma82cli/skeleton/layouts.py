"""Joint sets: their joints' names, left/right pairs and limbs, read from `share/mma82/layouts` or a user's file."""

from __future__ import annotations

from dataclasses import dataclass, field

from mma82cli import share
from mma82cli.records import DataError, show


@dataclass(frozen=True)
class Layout:
    """A joint set. `pairs` are (left, right) joints, `limbs` (from, to), as indices into `joints`."""

    name: str
    joints: list[str]
    pairs: list[tuple[int, int]] = field(default_factory=list)  # without pairs nothing is flipped
    limbs: list[tuple[int, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.joints)

    def mirrored(self) -> list[int]:
        """For each joint the one that takes its place in a mirror."""
        return _swap(len(self.joints), self.pairs)

    def mirrored_limbs(self) -> list[int]:
        """For each limb the one that takes its place in a mirror (itself where the mirror image is no limb)."""
        joint = self.mirrored()
        place = {frozenset(limb): i for i, limb in enumerate(self.limbs)}
        return [place.get(frozenset((joint[a], joint[b])), i) for i, (a, b) in enumerate(self.limbs)]

    def to_json(self) -> dict:
        """The layout as its file holds it."""
        pairs, limbs = [list(p) for p in self.pairs], [list(p) for p in self.limbs]
        return {"name": self.name, "joints": list(self.joints), "pairs": pairs, "limbs": limbs}


def _swap(count: int, pairs) -> list[int]:
    order = list(range(count))
    for left, right in pairs:
        order[left], order[right] = right, left
    return order


def _index_pairs(data: dict, key: str, joints: int) -> list[tuple[int, int]]:
    pairs = data.get(key) or []
    for pair in pairs if isinstance(pairs, list) else [pairs]:
        good = isinstance(pair, list) and len(pair) == 2 and all(type(i) is int and 0 <= i < joints for i in pair)
        if not good or pair[0] == pair[1]:
            raise DataError(f"'{key}' of the layout holds {show(pair)}; expected two different joints 0..{joints - 1}")
    return [(a, b) for a, b in pairs]


def from_json(data: dict) -> Layout:
    """A `Layout` from the contents of its file. Raises DataError where they are not one."""
    joints = data.get("joints") if isinstance(data, dict) else None
    named = isinstance(joints, list) and joints and all(isinstance(j, str) and j for j in joints)
    if not named or len(set(joints)) != len(joints):
        raise DataError(f"'joints' of the layout is {show(joints)}; expected a list of different names")
    pairs = _index_pairs(data, "pairs", len(joints))
    paired = [i for pair in pairs for i in pair]
    if len(set(paired)) != len(paired):
        raise DataError("a joint is in two of the layout's 'pairs'; expected each in one at most")
    return Layout(str(data.get("name", "unnamed")), joints, pairs, _index_pairs(data, "limbs", len(joints)))


def load_layout(name: str = "coco17") -> Layout:
    """A built-in layout by name, or one from a JSON file. Raises WrongUsage or DataError."""
    return share.load_json("layouts", name, from_json)
