"""The training loop: epochs of steps, a validation, a checkpoint. `fit` reads from top to bottom.

Every random number of an epoch comes from the run's seed and the epoch's number. A run that was stopped and resumed
therefore makes the same steps as one that never was.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from mma82cli.models.posec3d import PoseC3D
from mma82cli.records import DataError
from mma82cli.skeleton.layouts import Layout
from mma82cli.training import checkpoint
from mma82cli.training.batches import channels, train_batch
from mma82cli.training.clips import Clips
from mma82cli.training.device import autocast
from mma82cli.training.predict import Predictor
from mma82cli.training.ranks import Ranks
from mma82cli.training.recipe import Recipe
from mma82cli.training.team import Team

LOOK_EVERY = 50  # steps between looks at the loss, each of which waits for a GPU


@dataclass
class Run:
    """What `fit` needs besides the model. `about` goes into every checkpoint; `tick(n)` hears of n clips done; `timed` adds
    seconds to an epoch's figures, the only ones that differ between two runs."""

    recipe: Recipe
    layout: Layout
    folder: Path
    about: dict
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32
    tick: Callable[[int], object] = lambda clips: None
    timed: bool = True
    ranks: Ranks = Ranks()


def make_model(recipe: Recipe, layout: Layout, classes: int, seed: int = 0) -> PoseC3D:
    """A new network for the recipe's heatmaps of this layout, initialised by `seed`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return PoseC3D(
            in_channels=channels(recipe, layout), num_classes=classes, base_channels=recipe.base_channels,
            stage_blocks=recipe.stage_blocks, temporal_strides=recipe.temporal_strides, dropout=recipe.dropout,
        )  # fmt: skip


def fit(model: PoseC3D, run: Run, train: Clips, val: Clips | None = None, resume: bool = False) -> Iterator[dict]:
    """Trains `model` in place; yields an epoch's figures when its checkpoint stands in the folder.

    Without `val` the best epoch is the last. Raises DataError where the loss is not finite, the folder can't be
    written, or the state to resume is another model's.
    """
    recipe, folder = run.recipe, run.folder
    model.to(run.device)
    optimizer = make_optimizer(model, recipe)
    done, best = 0, -1.0
    if resume:
        state = checkpoint.load_state(folder, model, optimizer)
        done, best = state["epoch"], state["best"]

    for epoch in range(done + 1, recipe.epochs + 1):
        start = time.perf_counter()
        figures = {"epoch": epoch, "epochs": recipe.epochs, **train_epoch(model, optimizer, run, train, epoch)}
        if not run.ranks.first:
            yield figures
            continue
        if val is not None and (epoch % recipe.validate_every == 0 or epoch == recipe.epochs):
            figures |= validate(model, run, val)
        if run.timed:
            figures["seconds"] = round(time.perf_counter() - start, 3)

        about = {**run.about, "epoch": epoch}
        value = figures.get(f"val_{recipe.best}", -1.0)
        if val is None or value > best:
            best = value
            checkpoint.save(folder / checkpoint.BEST, model.state_dict(), about)
        checkpoint.save(folder / checkpoint.LAST, model.state_dict(), about)
        checkpoint.save_state(folder / checkpoint.STATE, model, optimizer, {**about, "best": best})
        checkpoint.append_log(folder, figures, keep=epoch - 1)
        if epoch == 1:
            checkpoint.replace(folder / checkpoint.RECIPE, recipe.to_toml().encode())
        yield figures


def train_epoch(model: PoseC3D, optimizer, run: Run, clips: Clips, epoch: int) -> dict:
    """One epoch -> {"lr", "loss", "train_top1"}: lr of its last step, the others over its clips as they were seen."""
    recipe = run.recipe
    rng = np.random.default_rng([run.seed, epoch])
    order = np.concatenate([rng.permutation(len(clips)) for _ in range(recipe.repeat)])
    steps = math.ceil(len(order) / recipe.batch_size)
    loss_sum, hits = torch.zeros((), device=run.device), torch.zeros((), device=run.device)
    model.train()
    with Team(model, _workers(run)) as team:
        for step in range(steps):
            lr = learning_rate(recipe, (epoch - 1) * steps + step, recipe.epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = lr
            batch = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]

            def part(network, buffer, i, rows, size=len(batch), seeds=(run.seed, epoch, step)):
                loss, correct = part_loss(network, run, clips, rows, np.random.default_rng([*seeds, i]), buffer)
                (loss * (len(rows) / size)).backward()
                return loss.detach() * len(rows), correct

            for loss, correct in team.gradients(run.ranks.mine(micro_batches(batch, recipe.micro_batch)), part):
                loss_sum += loss
                hits += correct
            run.ranks.add([parameter.grad for parameter in model.parameters()])
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            run.tick(len(batch))
            if step % LOOK_EVERY == 0 or step == steps - 1:
                look = loss_sum.clone()
                run.ranks.add([look])
                if not math.isfinite(look.item()):
                    raise DataError(f"the loss is not finite in epoch {epoch} (lr {lr:.3g}); lower lr or clip_norm")
    run.ranks.add([loss_sum, hits])
    return {"lr": lr, "loss": round(loss_sum.item() / len(order), 6), "train_top1": round(hits.item() / len(order), 6)}


def part_loss(network: PoseC3D, run: Run, clips: Clips, rows: np.ndarray, rng: np.random.Generator, buffer):
    """Mean cross-entropy of the clips `rows`, and how many are right. All draws, dropout's too, are `rng`'s."""
    recipe = run.recipe
    heatmaps = train_batch(clips, rows, recipe, run.layout, rng, buffer)
    with autocast(run.device, run.dtype):
        features = network.features(heatmaps)  # (B, C, T', H', W')
    features = features.float().mean((2, 3, 4))
    kept = (rng.random(tuple(features.shape), dtype=np.float32) >= recipe.dropout) / (1 - recipe.dropout)
    logits = network.cls_head.fc_cls(features * torch.from_numpy(kept).to(features))
    labels = clips.labels[torch.from_numpy(rows).to(run.device)]
    loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    return loss, (logits.argmax(1) == labels).sum()


def _workers(run: Run) -> int:
    """Copies of the network that share a step: one a core at most, and no more than there are micro-batches."""
    if run.device.type != "cpu":
        return 1
    return min(torch.get_num_threads(), math.ceil(run.recipe.batch_size / run.recipe.micro_batch))


def micro_batches(batch: np.ndarray, size: int) -> list[np.ndarray]:
    """`batch` in parts of at most `size` that differ by one at most: batch norm must not meet a lonely clip."""
    return np.array_split(batch, math.ceil(len(batch) / size))


def validate(model: PoseC3D, run: Run, clips: Clips) -> dict:
    """One clip a record -> {"val_top1", "val_mca"}, the latter the mean recall of the classes in `clips`."""
    predict = Predictor(model, run.recipe, run.layout, run.device, run.dtype, num_clips=1)
    hits = predict.all(clips).argmax(1) == clips.labels.cpu().numpy()
    labels = clips.labels.cpu().numpy()
    recalls = [hits[labels == label].mean() for label in np.unique(labels)]
    return {"val_top1": round(float(hits.mean()), 6), "val_mca": round(float(np.mean(recalls)), 6)}


def make_optimizer(model: PoseC3D, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over all parameters; its lr is set before each step."""
    parameters, decay = list(model.parameters()), recipe.weight_decay
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=0.0, betas=(recipe.momentum, 0.999), weight_decay=decay, fused=True)
    return torch.optim.SGD(parameters, lr=0.0, momentum=recipe.momentum, weight_decay=decay, fused=True)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """lr of step `step` (from 0) of `steps`: a linear rise over `warmup` of them, then half a cosine down towards 0.

    The recipe's lr is for `lr_batch` clips a step and is scaled linearly to `batch_size` (Goyal et al. 2017).
    """
    peak = recipe.lr * recipe.batch_size / recipe.lr_batch
    rise = recipe.warmup * steps
    if step < rise:
        return peak * (step + 1) / (rise + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))
