"""Several checkpoints as one: the mean of their probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mma82cli.records import DataError, WrongUsage
from mma82cli.training.families import FAMILIES
from mma82cli.training.task import Asked, Inference

if TYPE_CHECKING:
    import torch
    from torch import nn

    from mma82cli.taxonomy import Taxonomy
    from mma82cli.training.recipe import Recipe


def member(
    model: nn.Module, recipe: Recipe, labels: Taxonomy, about: dict, asked: Asked, device: torch.device, dtype: torch.dtype
) -> Inference:
    """A checkpoint at work. Raises DataError where its labels are not those asked for."""
    if labels.names != asked.labels.names:
        found = f"a checkpoint to average is of taxonomy {labels.name} ({len(labels)} labels)"
        raise DataError(f"{found}; expected the first one's, {asked.labels.name} ({len(asked.labels)} labels)")
    return FAMILIES[recipe.model].load("inference")(model, recipe, about, asked, device, dtype)


def together(members: list[Inference], paths: list[str]) -> Inference:
    """The only member, or an ensemble of them. Raises WrongUsage where one (of `paths`) gives no probabilities."""
    if len(members) == 1:
        return members[0]
    for each, path in zip(members, paths, strict=True):
        if FAMILIES[each.recipe.model].command != "train-rec":
            raise WrongUsage(f"--average: {path} is a detector; expected checkpoints that give a clip's label")
    return Ensemble(members)


class Ensemble(Inference):
    """Every member reads each record in its own way; their scores are averaged."""

    def __init__(self, members: list[Inference]):
        self.members = members
        self.at_once = max(each.at_once for each in members)
        self.drops = tuple(dict.fromkeys(field for each in members for field in each.drops))

    def check(self, record: dict) -> list[Any]:
        """What each member needs of the record."""
        return [each.check(record) for each in self.members]

    def __call__(self, items: list[list]) -> list[dict | DataError]:
        """{"scores": the mean over members} an item, with their warnings, each once; or the fault that a member found."""
        found = [each([own[i] for own in items]) for i, each in enumerate(self.members)]
        return [_mean(answers) for answers in zip(*found, strict=True)]


def _mean(answers: tuple[dict | DataError, ...]) -> dict | DataError:
    sound = []
    for answer in answers:
        if isinstance(answer, DataError):
            return answer
        sound.append(answer)
    said = list(dict.fromkeys(word for answer in sound for word in answer.get("warnings", ())))
    mean = sum(answer["scores"] for answer in sound) / len(sound)
    return {"scores": mean, "warnings": said}
