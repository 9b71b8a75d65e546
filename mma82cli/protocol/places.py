"""Groups whose split is known beforehand: from another file, or because a person said so."""

from __future__ import annotations

from mma82cli.protocol.counting import Grouping, Index
from mma82cli.protocol.published import is_header
from mma82cli.records import SPLITS, DataError, WrongUsage, text, wrong
from mma82cli.stream import Input, parse


def known_places(like: str | None, fixed: list[str], grouping: Grouping) -> dict[str, str]:
    """group -> split, as the file `like` has them, and as `fixed` says (GROUP=SPLIT each). Raises DataError or WrongUsage."""
    known = _in_file(like, grouping) if like else {}
    for said in fixed:
        group, split = _said(said)
        if known.setdefault(group, split) != split:
            raise WrongUsage(f"--fixed {said}: the group is in {known[group]} already; expected one split")
    return known


def strangers(fixed: list[str], groups: Index) -> list[str]:
    """A sentence on groups that were fixed and are not in the input."""
    absent = [group for group, _ in map(_said, fixed) if group not in groups.numbers]
    return [f"no record is of the fixed group{'s' * (len(absent) > 1)} {', '.join(absent)}"] if absent else []


def _said(said: str) -> tuple[str, str]:
    group, equals, split = said.rpartition("=")
    if not equals or not group or split not in SPLITS:
        raise WrongUsage(f"--fixed is {said!r}; expected GROUP=SPLIT such as s001=test")
    return group, split


def _in_file(file: str, grouping: Grouping) -> dict[str, str]:
    """group -> split of any records with a split, a published split among them."""
    known: dict[str, tuple[str, str]] = {}
    published = False
    for name, number, raw in Input([file]):
        place = f"{name}:{number}"
        try:
            record = parse(raw, number)
            published = published or is_header(record)
            if published and "split" not in record:  # the header, or a clip kept for support
                continue
            value, split = grouping(record), text(record, "split")
            if split not in SPLITS:
                raise wrong("split", split, "train, val or test")
            first, where = known.setdefault(value, (split, place))
            if first != split:
                raise DataError(f"{grouping.field} {value!r} is in {split}, and in {first} at {where}; expected one split")
        except DataError as error:
            raise DataError(f"{place}: {error}") from None
    return {value: split for value, (split, _) in known.items()}
