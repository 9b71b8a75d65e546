"""Labels, body groups and aliases (paper's Fig. 2), read from `share/mma82/taxonomy` or a user's file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property

from mma82cli import share
from mma82cli.records import DataError, show, wrong


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
        raise wrong(field, label, f"a label of {self.name} (an id 0..{len(self.names) - 1}, a name or an alias)")

    def to_json(self) -> dict:
        """The taxonomy as its file holds it."""
        codes = [{"id": i, "name": n, "code": f"C{i + 1}"} for i, n in enumerate(self.bodies)]
        labels = [
            {"id": i, "name": n, "body": self.body[i] if self.body else None, "aliases": self.aliases[i]}
            for i, n in enumerate(self.names)
        ]
        return {"name": self.name, "bodies": codes, "labels": labels}


def from_json(data: dict) -> Taxonomy:
    """A `Taxonomy` from the contents of its file. Raises DataError where they are not one."""
    try:
        labels, bodies = data["labels"], data.get("bodies") or []
        names = [str(entry["name"]) for entry in labels]
        aliases = [[str(a) for a in entry.get("aliases") or []] for entry in labels]
        ordered = [entry["id"] for entry in labels] == list(range(len(labels)))
        ordered &= [entry["id"] for entry in bodies] == list(range(len(bodies)))
        body = [entry["body"] for entry in labels] if bodies else []
        group_names = [str(entry["name"]) for entry in bodies]
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f'not a taxonomy ({error!r}); expected {{"name", "bodies": […], "labels": […]}}') from None
    if not names or not ordered:
        raise DataError("labels and bodies of a taxonomy must carry the ids 0, 1, 2, … in order")
    for i, group in enumerate(body):
        if type(group) is not int or not 0 <= group < len(group_names):
            raise DataError(f"label {i} of the taxonomy has body {show(group)}; expected 0..{len(group_names) - 1}")
    return Taxonomy(str(data.get("name", "unnamed")), names, body, group_names, aliases)


def load_taxonomy(name: str = "mma82") -> Taxonomy:
    """A built-in taxonomy by name, or one from a JSON file. Raises WrongUsage or DataError."""
    return share.load_json("taxonomy", name, from_json)


def load_definitions(taxonomy: Taxonomy) -> dict[str, dict]:
    """{label: {"definition", "bounds", "confused_with"}} where the taxonomy comes with them, else {}."""
    path = share.share_dir() / "definitions" / f"{taxonomy.name.removesuffix('-fig3')}.json"
    if not path.is_file():
        return {}
    return json.loads(path.read_text(encoding="utf-8"))
