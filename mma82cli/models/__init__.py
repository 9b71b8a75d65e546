"""Models, one a file, and `load`, which makes one from a checkpoint of ours or of a peer."""

from __future__ import annotations

import copy
from importlib import import_module
from typing import NamedTuple


class Kind(NamedTuple):
    """A row of MODELS. Every entry is below `mma82cli`, and imported when it is wanted.

    `module` holds the network. Where there is a `command` that trains it, `recipe` is the class of its recipes, `data` reads
    records into a task for the loop, `inference` adds a checkpoint's answers to records: each `module:Class`; their
    protocols are in `training/task.py`.
    """

    module: str
    command: str = ""
    recipe: str = ""
    data: str = ""
    inference: str = ""

    def load(self, part: str):
        """The class that `recipe`, `data` or `inference` names."""
        module, _, name = getattr(self, part).partition(":")
        return getattr(import_module("mma82cli." + module), name)


SKELETON = ("training.skeleton.data:SkeletonData", "training.skeleton.inference:SkeletonInference")
RGB = ("training.rgb.data:RgbData", "training.rgb.inference:RgbInference")
DETECTION = ("training.detection.data:DetectionData", "training.detection.inference:DetectionInference")

# The `module` of each offers
#   recognises(state) -> bool                                    whether the tensors are its model's
#   from_state(state, path, recipe, carried, **sizes) -> model   a model of the sizes that they show, not yet filled
#   renamed(state) -> state                                      (optional) peers' names of weights to ours
#   may_be_new(key) -> bool                                      (optional) parts that a pretrained network may lack
#   recipe_for(state) -> name                                    (optional) the recipe by which a peer's weights are used
#   HEAD                                                         what the keys of the layer with the labels begin with
#   fold(model) -> model                                         (optional) a copy that infers faster
#   model.compiled_parts() -> modules                            (optional) what a long training on a GPU compiles
#   input_of(model, recipe) -> name, axes                        (optional) what it reads, where it can be exported
MODELS = {  # a recipe's `model`: where it is, and who trains it
    "posec3d": Kind("models.posec3d", "train-rec", "training.skeleton.recipe:PoseC3DRecipe", *SKELETON),
    "stgcn": Kind("models.stgcn", "train-rec", "training.skeleton.recipe:STGCNRecipe", *SKELETON),
    "gc-tsm": Kind("models.gc_tsm", "train-rec", "training.rgb.recipe:GcTsmRecipe", *RGB),
    "adatad": Kind("models.adatad", "train-det", "training.detection.recipe:AdaTADRecipe", *DETECTION),
    "videomae": Kind("models.videomae"),
}


def load(path, recipe: str | None = None, device="cpu", **sizes):
    """The model that the checkpoint at `path` holds, in eval mode on `device`.

    `path` is a run's folder, a .safetensors file or a peer's .pth. `recipe` says what tensors cannot show (PoseC3D's
    temporal strides: "posec3d-ntu"); by default it is the one the checkpoint carries. `sizes` override what is read off
    the tensors. Raises WrongUsage for an unknown recipe or a missing file, DataError for a file that is no checkpoint or
    whose keys and shapes don't fit (all named in one error).
    """
    from mma82cli.models import weights

    return build(weights.read(path), recipe, path, **sizes).to(device).eval()


def build(checkpoint, recipe: str | None = None, path="checkpoint", **sizes):
    """The model of a `weights.Checkpoint`, filled; see `load`."""
    from mma82cli.models import weights

    module = module_of(kind_of(checkpoint, recipe, path))
    state = names_of_ours(module, checkpoint.state)
    model = module.from_state(state, path, recipe, checkpoint.recipe, **sizes)
    weights.fill(model, state, path)
    return model


def module_of(kind: str):
    """The module of a recipe's `model`."""
    return import_module(f"mma82cli.{MODELS[kind].module}")


def recipe_of(checkpoint, path="checkpoint") -> str:
    """The name of the recipe by which a checkpoint that carries none is used. Raises DataError where nothing recognises it,
    or it is a mere backbone."""
    from mma82cli.records import DataError

    kind = kind_of(checkpoint, path=path)
    if not MODELS[kind].command:
        raise DataError(f"{path}: a {kind} alone, which scores nothing; expected what was trained on it (--init starts there)")
    module = module_of(kind)
    return module.recipe_for(names_of_ours(module, checkpoint.state)) if hasattr(module, "recipe_for") else kind


def folded(kind: str, model):
    """A copy of the network for inference, as fast as its module can make it."""
    fold = getattr(module_of(kind), "fold", None)
    return fold(model) if fold else copy.deepcopy(model).eval().requires_grad_(False)


def names_of_ours(module, state: dict) -> dict:
    """A checkpoint's tensors under the names of our model."""
    return module.renamed(state) if hasattr(module, "renamed") else state


def kind_of(checkpoint, recipe: str | None = None, path="checkpoint") -> str:
    """Which of MODELS a `weights.Checkpoint` is: by the recipe named ("KIND" or "KIND-VARIANT"), else the recipe it
    carries, else its tensors. Raises WrongUsage for an unknown recipe, DataError where nothing recognises it."""
    from mma82cli.models.weights import some
    from mma82cli.records import DataError, WrongUsage

    if recipe is not None:
        named = [kind for kind in MODELS if recipe == kind or recipe.startswith(kind + "-")]
        if not named:
            raise WrongUsage(f"no recipe '{recipe}' to load a model by; expected {', '.join(MODELS)}, or a variant of one")
        return max(named, key=len)
    if checkpoint.recipe.get("model") in MODELS:
        return checkpoint.recipe["model"]
    for kind in MODELS:
        if module_of(kind).recognises(checkpoint.state):
            return kind
    raise DataError(f"{path}: weights of no known model (holds {some(list(checkpoint.state))}); expected {' or '.join(MODELS)}")
