"""AdaTAD on windows of films, as the loop trains it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mma82cli.crew import cores
from mma82cli.detection import losses, targets
from mma82cli.devices import onto
from mma82cli.metrics import detection as metric
from mma82cli.models import actionformer, videomae
from mma82cli.models.adatad import AdaTAD, Dims, level_masks
from mma82cli.records import DataError
from mma82cli.taxonomy import Taxonomy
from mma82cli.training.detection.packing import Packed, pack
from mma82cli.training.detection.predict import Detector
from mma82cli.training.detection.recipe import AdaTADRecipe
from mma82cli.training.detection.views import train_view
from mma82cli.training.ranks import Ranks
from mma82cli.training.replays import Replays
from mma82cli.training.task import Task
from mma82cli.video import Source

ADAPTER = ".adapter."  # in the names of weights
ACTIVATIONS = 26  # bytes that a token leaves in a block for the backward pass, a channel, in bf16 (measured by the peers)


def make_model(recipe: AdaTADRecipe, classes: int, seed: int = 0) -> AdaTAD:
    """A new network of the recipe's sizes, initialised by `seed`."""
    backbone = videomae.Dims(
        dim=recipe.dim, depth=recipe.depth, heads=recipe.heads, hidden=4 * recipe.dim, image_size=recipe.image_size,
        patch=recipe.patch, adapter=recipe.adapter, drop_path=recipe.drop_path,
    )  # fmt: skip
    head = actionformer.HeadDims(
        in_channels=recipe.dim, channels=recipe.channels, heads=recipe.head_heads, num_classes=classes, embed=recipe.embed,
        stem=recipe.stem, branch=recipe.branch, path_drop=recipe.path_drop,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AdaTAD(Dims(backbone, head))


class Batch(NamedTuple):
    """B windows, and what the network should say of each of their points, on the device: `classes` (B, P, C) uint8 and
    `distances` (B, P, 2), as `targets.assign` gives them."""

    packed: Packed
    classes: Tensor
    distances: Tensor


class DetectionTask(Task[AdaTADRecipe, AdaTAD]):
    """The films of `splits` "train" and "val" (perhaps empty), whose frames `source` gives. A row is a film, of which an
    epoch sees one window."""

    def __init__(self, recipe: AdaTADRecipe, source: Source, splits: dict, labels: Taxonomy, device, dtype, tell: Callable):
        self.train, self.val = splits["train"], splits["val"]
        super().__init__(recipe, len(self.train), bool(self.val))
        self.loaders = cores() if device.type == "cuda" else 0
        self.source, self.labels, self.device, self.dtype, self.tell = source, labels, device, dtype, tell
        levels, window = recipe.branch + 1, recipe.window + -recipe.window % 2**recipe.branch  # as the pyramid halves it
        self.points = torch.cat([actionformer.points(level, window // 2**level, levels) for level in range(levels)])
        self.replays = Replays(device, dtype, self.passes)
        self.trained: dict[str, Tensor] = {}  # the network's parameters that are, since `parameter_groups` chose them
        self.average: dict[str, Tensor] = {}
        self.steps = 0
        self._told: set[str] = set()
        self._delivered: AdaTAD | None = None

    # -- rows --------------------------------------------------------------------------------------------------

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """See `Task`. With `repeat_rare` films of rare labels come more often; films of like length share a step."""
        recipe = self.recipe
        times = repeats(self.train, len(self.labels), recipe.repeat_rare)
        rows = [np.repeat(np.arange(self.rows), times.astype(int) + (rng.random(self.rows) < times % 1))]
        order = np.concatenate([rng.permutation(row) for row in rows * recipe.repeat])
        return bucketed(order, [len(film.times) for film in self.train], recipe.batch_size, recipe.bucket, rng)

    def load(self, rows: np.ndarray, rng: np.random.Generator) -> Batch | None:
        """A window of each film, but of those that can't be decoded any more: a person hears of them. None where none can."""
        views = []
        for row, own in zip(rows, rng.spawn(len(rows)), strict=True):
            try:
                views.append(train_view(self.source, self.train[row], self.recipe, own))
            except DataError as error:
                if self.train[row].name not in self._told:
                    self._told.add(self.train[row].name)
                    self.tell(f"left out: {error}")
        if not views:
            return None
        recipe = self.recipe
        packed = pack([view.frames for view in views], recipe.window, recipe.fill, self.device, recipe.still)
        spans = ((torch.from_numpy(view.segments).float(), torch.from_numpy(view.labels)) for view in views)
        both = [targets.assign(self.points, *each, len(self.labels)) for each in spans]
        classes, distances = (torch.stack(parts) for parts in zip(*both, strict=True))
        return Batch(packed, *(onto(each.numpy(), self.device) for each in (classes.byte(), distances)))

    # -- the loss ----------------------------------------------------------------------------------------------

    def part_loss(self, network: AdaTAD, loaded: Batch | None, rng: np.random.Generator, scratch) -> tuple[Tensor, dict]:
        """Sums of both losses over the windows a row; `gradients_ready` divides by how many points have an action."""
        if loaded is None:
            trained = [parameter.sum() for parameter in network.parameters() if parameter.requires_grad]
            return torch.stack(trained).sum() * 0.0, {"unread": torch.ones(())}
        packed, classes, distances = loaded
        mask, work = packed.mask, partial(self.judged, network)
        lesson = network.lesson(packed.clips, packed.windows, mask, rng)
        by_class, by_boundary, positives = self.replays(network, work, mask, classes, distances, *lesson)
        # copies, for the next micro-batch may be written over them (`replays`)
        names = {"classes": by_class, "boundaries": by_boundary, "positives": positives}
        counts = {name: value.detach().clone() for name, value in names.items()}
        counts |= {"moments": torch.tensor(float(sum(packed.lengths))), "windows": torch.tensor(float(len(classes)))}
        return (by_class + by_boundary) / len(classes), counts

    def judged(self, network: AdaTAD, mask: Tensor, classes: Tensor, distances: Tensor, *lesson: Tensor) -> tuple[Tensor, ...]:
        """-> sums of both losses, and how many points have an action. All of it is in the recording: to launch the losses'
        hundreds of kernels, forward and back, takes a host as long as a GPU needs for some blocks."""
        found = network.learn(*lesson)
        levels = list(zip(found[::2], found[1::2], strict=True))
        masks, wanted = level_masks(mask, len(levels)), classes.float()
        by_class, by_boundary = losses.detection_losses(levels, masks, wanted, distances, self.recipe.label_smoothing)
        return by_class, by_boundary, losses.positives(masks, wanted).sum().float()

    def gradients_ready(self, model: AdaTAD, gradients: list[Tensor], size: int, counts: list[dict], ranks: Ranks) -> None:
        """Divides by the moving mean of how many points of a step have an action (of `batch_size` windows, where it is the
        epoch's last and smaller one)."""
        count = sum((each["positives"] for each in counts if "positives" in each), torch.zeros((), device=self.device))
        count = count.clone()
        ranks.add([count])
        normalizer = model.rpn_head.loss_normalizer
        normalizer.copy_(losses.moved(normalizer, count * self.recipe.batch_size / size))
        torch._foreach_mul_(gradients, self.recipe.batch_size / normalizer)

    def figures(self, sums: dict[str, float], rows: int) -> dict:
        """The losses a point with an action."""
        points = max(sums.get("positives", 0.0), 1.0)
        parts = {f"loss_{name}": round(sums.get(name, 0.0) / points, 6) for name in ("classes", "boundaries")}
        figures = {"loss": round(sum(parts.values()), 6), **parts}
        unread = rows - int(sums.get("windows", 0))
        return figures | ({"unread": unread} if unread else {})

    # -- the optimiser -------------------------------------------------------------------------------------------

    def parameter_groups(self, model: AdaTAD) -> list[dict]:
        """Adapters, head and, unless it is `frozen`, the rest of the backbone. Of the adapters everything decays, as the
        peer has it; elsewhere matrices alone."""
        recipe = self.recipe
        groups: dict[tuple[float, float], list] = {}
        for name, parameter in model.named_parameters():
            adapts, backbone = ADAPTER in name, name.startswith("backbone.")
            parameter.requires_grad_(adapts or not backbone or not recipe.frozen)
            if not parameter.requires_grad:
                continue
            scale = recipe.adapter_lr if adapts else recipe.backbone_lr if backbone else 1.0
            decay = recipe.weight_decay if adapts or (parameter.ndim > 1 and not name.endswith(".scale")) else 0.0
            groups.setdefault((scale, decay), []).append(parameter)
            self.trained[name] = parameter
        model.backbone.checkpointing = self._recomputes()
        return [{"params": members, "lr_scale": scale, "weight_decay": decay} for (scale, decay), members in groups.items()]

    def _recomputes(self) -> bool:
        """Whether activations are computed again in the backward pass: "auto" where two thirds of the free memory of a GPU
        would not hold them."""
        recipe = self.recipe
        if recipe.checkpointing != "auto" or self.device.type != "cuda":
            return recipe.checkpointing == "yes"
        tokens = recipe.micro_batch * recipe.window // 2 * (recipe.size // recipe.patch) ** 2
        needed = ACTIVATIONS * tokens * recipe.dim * recipe.depth * self.dtype.itemsize / 2
        return needed > torch.cuda.mem_get_info(self.device)[0] * 2 / 3

    def after_step(self, model: AdaTAD) -> None:
        """Moves the mean of the trained tensors; in its first steps it is nearly what they are."""
        self.steps += 1
        if not self.average:
            self.average = {name: value.detach().clone() for name, value in self.trained.items()}
        keep = min(self.recipe.average, self.steps / (10 + self.steps))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), [self.trained[name] for name in self.average], 1 - keep)

    def deliver(self, model: AdaTAD) -> AdaTAD:
        """The network of the mean; what is not trained it shares with `model`."""
        if self._delivered is None:
            shared = {id(p): p for p in model.parameters() if not p.requires_grad}
            self._delivered = copy.deepcopy(model, shared)
        own = dict(self._delivered.named_parameters())
        with torch.no_grad():
            for name, value in self.average.items():
                own[name].copy_(value)
            self._delivered.rpn_head.loss_normalizer.copy_(model.rpn_head.loss_normalizer)
        return self._delivered

    def state(self) -> dict[str, Tensor]:
        """The moving mean."""
        return {"steps": torch.tensor(self.steps), **{f"average.{name}": value for name, value in self.average.items()}}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """See `Task`."""
        self.steps = int(tensors["steps"])
        prefix = "average."
        self.average = {
            key.removeprefix(prefix): value.to(self.device) for key, value in tensors.items() if key.startswith(prefix)
        }

    # -- validation ----------------------------------------------------------------------------------------------

    def validate(self, model: AdaTAD, ranks: Ranks) -> dict:
        """mAP of the val films: {"val_map" over tIoU 0.1 to 0.9, "val_map50"}, of actions."""
        detect = Detector(model, self.recipe, self.source, self.device, self.dtype)
        found = ranks.shared([film.clip for film in self.val], detect)
        if not ranks.first:
            return {}
        for film, answer in zip(self.val, found, strict=True):
            if isinstance(answer, DataError) and film.name not in self._told:
                self._told.add(film.name)
                self.tell(f"left out: {answer}")
        kept = [(film, each) for film, each in zip(self.val, found, strict=True) if not isinstance(each, DataError)]
        if not any(len(film.labels) for film, _ in kept):
            return {}
        video = np.arange(len(kept))
        truth = metric.Spans(
            video.repeat([len(film.labels) for film, _ in kept]), np.concatenate([film.labels for film, _ in kept]),
            np.concatenate([film.segments for film, _ in kept]),
        )  # fmt: skip
        guessed = metric.Spans(
            video.repeat([len(each.labels) for _, each in kept]), np.concatenate([each.labels for _, each in kept]),
            np.concatenate([each.segments for _, each in kept]), np.concatenate([each.scores for _, each in kept]),
        )  # fmt: skip
        values = metric.evaluate(truth, guessed)
        return {"val_map": round(values["avg", "action"], 6), "val_map50": round(values[0.5, "action"], 6)}


def repeats(films: list, classes: int, threshold: float) -> np.ndarray:
    """(films,) how often each comes in an epoch: max over its labels of sqrt(threshold / share of the films with the
    label), at least 1 (Gupta et al. 2019, "LVIS"). 0: once."""
    have = np.zeros((len(films), classes), bool)
    for i, film in enumerate(films):
        have[i, film.labels] = True
    share = have.mean(0)
    factor = np.sqrt(threshold / np.maximum(share, 1e-12)).clip(min=1)
    return np.where(have, factor, 1.0).max(1)


def bucketed(order: np.ndarray, lengths: Sequence[int], batch: int, bucket: int, rng: np.random.Generator) -> np.ndarray:
    """The rows of `order`, so that the `batch` rows of a step are of like length: sorted among `bucket` steps' rows. Whole
    steps come in random order; an incomplete one is the last."""
    if bucket == 1 or batch == 1:
        return order
    frames = np.asarray(lengths)
    size = bucket * batch
    parts = [order[i : i + size] for i in range(0, len(order), size)]
    ordered = np.concatenate([part[np.argsort(frames[part], kind="stable")] for part in parts])
    whole = len(ordered) // batch * batch
    steps = ordered[:whole].reshape(-1, batch)
    return np.concatenate((steps[rng.permutation(len(steps))].ravel(), ordered[whole:]))
