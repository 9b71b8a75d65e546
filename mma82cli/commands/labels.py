"""`mma82 labels`: a taxonomy as JSON Lines."""

from __future__ import annotations

from mma82cli.commands.options import TaxonomyName, command


@command(
    reads=False, example="mma82 labels | grep Head-hand",
    writes="id label body aliases definition bounds confused_with",
)
def run(pipe, taxonomy: TaxonomyName = "mma82") -> None:
    """Print a taxonomy, a label a line: id, label, body, aliases; for mma82 also what the action is,
    where it begins and ends, and what it is confused with."""
    from mma82cli.taxonomy import load_definitions, load_taxonomy

    labels = load_taxonomy(taxonomy)
    definitions = load_definitions(labels)
    for i, name in enumerate(labels.names):
        body = labels.bodies[labels.body[i]] if labels.bodies else None
        pipe.write({"id": i, "label": name, "body": body, "aliases": labels.aliases[i], **definitions.get(name, {})})
