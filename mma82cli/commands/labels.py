"""`mma82 labels`: a taxonomy as JSON Lines, or where another taxonomy's labels went in it."""

from __future__ import annotations

from typing import Annotated

import typer

from mma82cli.commands.options import TaxonomyName, command

MapName = Annotated[str, typer.Option("--map", metavar="NAME|FILE", show_default=False, help="where its labels went (ma52)")]

EXAMPLE = """
mma82 labels | grep Head-hand
mma82 labels --map ma52 | grep '"relation":"merged"'
"""
DETAILS = """
--map ma52 prints a line a label of MA-52: id, label and body there; to, to_id, to_body, the label of MMA-82 that means the
same (null: there is none); relation (same, renamed, generalised, merged, split, dropped), body_changes, other
candidates; and how many clips the one has in MA-52's public lists (clips) and the other in MMA-82 (to_clips).
"""


@command(
    reads=False, example=EXAMPLE, details=DETAILS,
    writes="id label body aliases definition bounds confused_with to to_id to_body relation body_changes candidates clips",
)
def run(pipe, taxonomy: TaxonomyName = "mma82", mapped: MapName = None) -> None:
    """Print a taxonomy, a label a line: id, label, body, aliases; for mma82 also what the action is,
    where it begins and ends, and what it is confused with."""
    from mma82cli.taxonomy import load_definitions, load_mapping, load_taxonomy

    if mapped is not None:
        mapping = load_mapping(mapped)
        for row in mapping.rows():
            pipe.write(row)
        pipe.note(mapping.warning())
        return
    labels = load_taxonomy(taxonomy)
    definitions = load_definitions(labels)
    for i, name in enumerate(labels.names):
        pipe.write({"id": i, "label": name, "body": labels.group(i), "aliases": labels.aliases[i], **definitions.get(name, {})})
