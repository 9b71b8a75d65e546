"""Models, one a file, and `load`, which makes one from a checkpoint of ours or of a peer."""

from __future__ import annotations

RECIPES = ("posec3d", "posec3d-ntu", "posec3d-tiny")


def load(path, recipe: str | None = None, device="cpu", **sizes):
    """The model that the checkpoint at `path` holds, in eval mode on `device`.

    `path` is a run's folder, a .safetensors file or a peer's .pth. `recipe` (one of RECIPES) says what tensors cannot
    show: the temporal strides; by default it is the one the checkpoint carries, else "posec3d". `sizes` override what
    is read off the tensors. Raises WrongUsage for an unknown recipe or a missing file, DataError for a file that is no
    checkpoint or whose keys and shapes don't fit (all named in one error).
    """
    from mma82cli.models import weights

    return build(weights.read(path), recipe, path, **sizes).to(device).eval()


def build(checkpoint, recipe: str | None = None, path="checkpoint", **sizes):
    """The model of a `weights.Checkpoint`, filled; see `load`."""
    from mma82cli.models import weights
    from mma82cli.models.posec3d import PoseC3D
    from mma82cli.records import WrongUsage

    if recipe is not None and recipe not in RECIPES:
        raise WrongUsage(f"no recipe '{recipe}' to load a model by; expected one of {', '.join(RECIPES)}")
    shown = weights.posec3d_sizes(checkpoint.state, path)
    shown["temporal_strides"] = _temporal_strides(recipe, checkpoint.recipe, len(shown["stage_blocks"]))
    if "dropout" in checkpoint.recipe:
        shown["dropout"] = float(checkpoint.recipe["dropout"])
    model = PoseC3D(**{**shown, **sizes})
    weights.fill(model, checkpoint.state, path)
    return model


def _temporal_strides(recipe: str | None, carried: dict, stages: int) -> tuple[int, ...]:
    """Of the recipe named, else of the recipe carried, else 1 throughout."""
    if recipe is None and "temporal_strides" in carried:
        return tuple(carried["temporal_strides"])
    return (1,) * (stages - 1) + (2 if recipe == "posec3d-ntu" else 1,)
