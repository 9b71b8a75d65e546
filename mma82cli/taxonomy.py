"""Labels, body groups and aliases (paper's Fig. 2), read from `share/mma82/taxonomy` or a user's file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from mma82cli import share
from mma82cli.records import DataError, show, wrong

FEW = 8  # labels that an error may list


@dataclass(frozen=True)
class Taxonomy:
    """A label set. `names[i]` is label i; `body[i]` the id of its body group; `bodies` the groups' names."""

    name: str
    names: list[str]
    body: list[int] = field(default_factory=list)  # empty for a flat label set
    bodies: list[str] = field(default_factory=list)
    aliases: list[list[str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def ids(self) -> dict:
        """{name, alias or id: id}; names and aliases as written and in lower case."""
        aliases = {form: i for i, others in enumerate(self.aliases) for a in others for form in (a.casefold(), a)}
        names = {form: i for i, name in enumerate(self.names) for form in (name.casefold(), name)}
        return aliases | names | {i: i for i in range(len(self.names))}

    def id(self, label, field: str = "label") -> int:
        """The id of a label given as its name or an alias (any case) or its id. Raises DataError."""
        found = None
        if type(label) is int:
            found = self.ids.get(label)
        elif isinstance(label, str):
            found = self.ids.get(label, self.ids.get(label.casefold()))
        if found is not None:
            return found
        another = "; --taxonomy FILE for labels of your own" if self.name == "mma82" and isinstance(label, str) else ""
        names = f": {', '.join(self.names)}" if len(self.names) <= FEW else ""
        expected = f"a label of {self.name} (an id 0..{len(self.names) - 1}, a name or an alias{names}{another})"
        raise DataError(f"field '{field}' is missing; expected {expected}") if label is None else wrong(field, label, expected)

    def group(self, label: int) -> str | None:
        """The name of a label's body group; None in a flat label set."""
        return self.bodies[self.body[label]] if self.bodies else None

    def to_json(self) -> dict:
        """The taxonomy as its file holds it."""
        codes = [{"id": i, "name": n, "code": f"C{i + 1}"} for i, n in enumerate(self.bodies)]
        labels = [
            {"id": i, "name": n, "body": self.body[i] if self.body else None, "aliases": self.aliases[i]}
            for i, n in enumerate(self.names)
        ]
        return {"name": self.name, "bodies": codes, "labels": labels}


def from_json(data: dict) -> Taxonomy:
    """A `Taxonomy` from the contents of its file; a name alone stands for a label or a body group that has no more than that.
    Raises DataError where they are not one."""
    try:
        labels, bodies = ([{"name": e} if isinstance(e, str) else e for e in data.get(key) or []] for key in ("labels", "bodies"))
        names, groups = ([entry["name"] for entry in entries] for entries in (labels, bodies))
        aliases = [[str(a) for a in entry.get("aliases") or []] for entry in labels]
        ordered = all(entry.get("id", i) == i for entries in (labels, bodies) for i, entry in enumerate(entries))
        said = [entry.get("body") for entry in labels] if bodies else []
    except (KeyError, TypeError, AttributeError):
        expected = '{"name": "mine", "labels": ["yes", "no", …]}, or {"name", "body", "aliases"} for each label'
        raise DataError(f"not a taxonomy; expected {expected}") from None
    if not names or not ordered:
        raise DataError("labels and bodies of a taxonomy must carry the ids 0, 1, 2, … in order")
    for entries in (names, groups):
        for i, name in enumerate(entries):
            if not isinstance(name, str) or not name or name in entries[:i]:
                raise DataError(f"the taxonomy has a label or body named {show(name)}; expected different names")
    body: list[int] = []
    for i, group in enumerate(said):
        group = groups.index(group) if group in groups else group
        if type(group) is not int or not 0 <= group < len(groups):
            raise DataError(f"label {i} of the taxonomy has body {show(group)}; expected 0..{len(groups) - 1}, or a body's name")
        body.append(group)
    return Taxonomy(str(data.get("name", "unnamed")), names, body, groups, aliases)


def load_taxonomy(name: str = "mma82") -> Taxonomy:
    """A built-in taxonomy by name, or one from a JSON file. Raises WrongUsage or DataError."""
    return share.load_json("taxonomy", name, from_json)


def load_definitions(taxonomy: Taxonomy) -> dict[str, dict]:
    """{label: {"definition", "bounds", "confused_with"}} where the taxonomy comes with them, else {}."""
    path = share.share_dir() / "definitions" / f"{taxonomy.name.removesuffix('-fig3')}.json"
    if not path.is_file():
        return {}
    return json.loads(path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Mapping:
    """Where each label of taxonomy `old` went in `new`: entries with from, to (ids), relation, candidates (ids), from_clips,
    to_clips."""

    old: Taxonomy
    new: Taxonomy
    entries: list[dict]

    def rows(self) -> Iterator[dict]:
        """A row a label of `old`."""
        for entry in self.entries:
            label, to = entry["from"], entry["to"]
            here, there = self.old.group(label), None if to is None else self.new.group(to)
            yield {
                "id": label, "label": self.old.names[label], "body": here,
                "to": None if to is None else self.new.names[to], "to_id": to, "to_body": there,
                "relation": entry["relation"], "body_changes": to is not None and here != there,
                "candidates": [self.new.names[c] for c in entry["candidates"]],
                "clips": entry["from_clips"], "to_clips": entry["to_clips"],
            }  # fmt: skip

    def warning(self) -> str:
        """Why the mapping must not be taken for the truth of old clips."""
        gathered: dict[int, int] = {}
        for entry in self.entries:
            if entry["to"] is not None:
                gathered[entry["to"]] = gathered.get(entry["to"], 0) + entry["from_clips"]
        now = {entry["to"]: entry["to_clips"] for entry in self.entries}
        fewer = sum(now[to] < clips for to, clips in gathered.items())
        moved = sum(entry["to"] != entry["from"] for entry in self.entries)
        return (
            f"labels may not be carried over by id ({moved} of {len(self.entries)} ids mean something else), nor clip by clip: "
            f"{fewer} labels have fewer clips in {self.new.name} than in the public part of {self.old.name} alone, "
            "which was labelled anew; use the labels that the clips come with"
        )


def load_mapping(name: str) -> Mapping:
    """A built-in mapping between taxonomies by name, or one from a JSON file. Raises WrongUsage or DataError."""

    def build(data: dict) -> Mapping:
        try:
            old, new, entries = load_taxonomy(data["from"]), load_taxonomy(data["to"]), data["labels"]
            good = [e["from"] for e in entries] == list(range(len(old)))
            good &= all(e["to"] is None or 0 <= e["to"] < len(new) for e in entries)
            good &= all({"relation", "candidates", "from_clips", "to_clips"} <= e.keys() for e in entries)
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f'not a mapping ({error!r}); expected {{"from", "to", "labels": [{{"from", "to", …}}]}}') from None
        if not good:
            raise DataError("the mapping's labels must name each label of the one taxonomy in order, and labels of the other")
        return Mapping(old, new, entries)

    return share.load_json("mappings", name, build)
