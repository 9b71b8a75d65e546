"""A checkpoint with what it says of itself, for commands that use one, and the options that such commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from torch import nn

    from mma82cli.taxonomy import Taxonomy
    from mma82cli.training.recipe import Recipe

Checkpoint = Annotated[str, typer.Argument(metavar="CHECKPOINT", show_default=False, help="folder of a run, or weights")]
RecipeName = Annotated[str, typer.Option("--recipe", metavar="NAME|FILE", show_default=False, help="of a peer's checkpoint")]
TaxonomyName = Annotated[str, typer.Option("--taxonomy", metavar="NAME|FILE", show_default=False, help="of a peer's checkpoint")]
Clips = Annotated[int, typer.Option("--clips", metavar="N", min=0, help="test clips a record; 0: as in the recipe")]


class Loaded(NamedTuple):
    """A network, the recipe that it is used by, its labels, and what the checkpoint says of itself."""

    model: nn.Module
    recipe: Recipe
    labels: Taxonomy
    about: dict


def with_changes(loaded: list[Loaded], options: dict) -> list[Loaded]:
    """The checkpoints with the keys of their recipes changed that `options` name and give a value (not 0, nor "recipe"), in
    those that have such a key. Raises WrongUsage where none has."""
    from mma82cli.records import WrongUsage
    from mma82cli.training.recipe import changed

    given = {key: value for key, value in options.items() if value not in (0, "recipe")}
    for key in given:
        if not any(hasattr(each.recipe, key) for each in loaded):
            raise WrongUsage(f"--{key}: a checkpoint of {loaded[0].recipe.model}, whose recipes have no '{key}'")
    own = ({key: value for key, value in given.items() if hasattr(each.recipe, key)} for each in loaded)
    return [each._replace(recipe=changed(each.recipe, **values)) for each, values in zip(loaded, own, strict=True)]


def load_checkpoint(path: str, recipe: str | None, taxonomy: str | None) -> Loaded:
    """The checkpoint at `path`; recipe and taxonomy by name where it carries none, or another is asked for. Raises DataError
    where these don't fit the weights."""
    from dataclasses import asdict, replace

    from mma82cli import models
    from mma82cli.models import weights
    from mma82cli.records import DataError
    from mma82cli.training.recipe import load_recipe, recipe_from_dict

    read = weights.read(path)
    if recipe or not read.recipe:
        settings = load_recipe(recipe or models.recipe_of(read, path))
    else:
        settings = recipe_from_dict(read.recipe, path)
    model = models.build(replace(read, recipe=asdict(settings)), None, path)
    labels = _taxonomy(read.taxonomy, taxonomy, path)
    if len(labels) != model.num_classes:
        found = f"{path} scores {model.num_classes} labels, taxonomy {labels.name} has {len(labels)}"
        raise DataError(f"{found}; expected the one it was trained with (--taxonomy)")
    return Loaded(model, settings, labels, read.about)


def _taxonomy(carried: dict | None, asked: str | None, path: str) -> Taxonomy:
    """The checkpoint's taxonomy; the one asked for must have the same labels."""
    from mma82cli.records import DataError
    from mma82cli.taxonomy import from_json, load_taxonomy

    if carried is None:
        return load_taxonomy(asked or "mma82")
    own = from_json(carried)
    if asked is None:
        return own
    other = load_taxonomy(asked)
    if other.names != own.names:
        raise DataError(f"{path} is of taxonomy {own.name} ({len(own)} labels); found {other.name} ({len(other)} labels)")
    return other
