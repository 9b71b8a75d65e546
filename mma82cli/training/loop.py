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
from torch import nn

from mma82cli.models.norms import Ghosts
from mma82cli.records import DataError
from mma82cli.training import ahead, checkpoint
from mma82cli.training.ranks import Ranks
from mma82cli.training.recipe import Recipe
from mma82cli.training.task import Task
from mma82cli.training.team import Team

LOOK_EVERY = 50  # steps between looks at the loss, each of which waits for a GPU


@dataclass
class Run:
    """What `fit` needs besides model and task. `about` goes into every checkpoint; `tick(n)` hears of n rows done; `timed`
    adds seconds to an epoch's figures, the only ones that differ between two runs; `stop()`, asked after each step, says
    whether to save and end there (not where there are several processes)."""

    folder: Path
    about: dict
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    tick: Callable[[int], object] = lambda rows: None
    timed: bool = True
    ranks: Ranks = Ranks()
    stop: Callable[[], bool] = lambda: False


@dataclass
class Begun:
    """How far an epoch is: its steps that are done, and the sums of what was counted in them."""

    steps: int = 0
    sums: dict[str, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, said: dict) -> Begun:
        """As `said` has it."""
        return cls(said["steps"], {name: torch.tensor(value) for name, value in said["sums"].items()})

    def said(self) -> dict:
        """JSON that holds it exactly."""
        return {"steps": self.steps, "sums": {name: value.item() for name, value in self.sums.items()}}


def fit(model: nn.Module, run: Run, task: Task, resume: bool = False) -> Iterator[dict]:
    """Trains `model` in place; yields an epoch's figures when its checkpoint stands in the folder.

    Without val rows the best epoch is the last. Where `run.stop` says so it ends early, and a resumed run goes on from that
    step. Raises DataError where the loss or a weight is not finite, the folder can't be written, or the state to resume is
    another model's.
    """
    recipe, folder = task.recipe, run.folder
    model.to(run.device)
    optimizer = make_optimizer(task.parameter_groups(model), recipe)
    done, best, begun = 0, -1.0, Begun()
    if run.ranks.first:
        checkpoint.sweep(folder)
    if resume:
        state, tensors = checkpoint.load_state(folder, model, optimizer)
        task.load_state(tensors)
        done, best = state["epoch"], state["best"]
        begun = Begun.of(state["begun"]) if "begun" in state else begun

    for epoch in range(done + 1, recipe.epochs + 1):
        start = time.perf_counter()
        figures = {"epoch": epoch, "epochs": recipe.epochs, **train_epoch(model, optimizer, run, task, epoch, begun)}
        delivered = task.deliver(model)
        if not _finite(delivered):
            raise DataError(f"the weights are not finite in epoch {epoch} (lr {figures['lr']:.3g}); lower lr or clip_norm")
        if run.stop():
            about = {**run.about, "epoch": epoch - 1, "best": best, "begun": begun.said()}
            checkpoint.save_state(folder / checkpoint.STATE, model, optimizer, task.state(), about)
            return
        if task.has_val and (epoch % recipe.validate_every == 0 or epoch == recipe.epochs):
            figures |= task.validate(delivered, run.ranks)
        if not run.ranks.first:
            yield figures
            begun = Begun()
            continue
        if run.timed:
            figures["seconds"] = round(time.perf_counter() - start, 3)

        if epoch == 1:
            checkpoint.replace(folder / checkpoint.RECIPE, recipe.to_toml().encode())
        about = {**run.about, "epoch": epoch}
        value = figures.get(f"val_{recipe.best}", -1.0)
        if not task.has_val or value > best:
            best = value
            checkpoint.save(folder / checkpoint.BEST, delivered.state_dict(), about)
        checkpoint.save(folder / checkpoint.LAST, delivered.state_dict(), about)
        checkpoint.append_log(folder, figures, keep=epoch - 1)
        # the state comes last: a run that goes on from it finds all that the epoch leaves
        checkpoint.save_state(folder / checkpoint.STATE, model, optimizer, task.state(), {**about, "best": best})
        yield figures
        if run.stop():
            return
        begun = Begun()


def _finite(model: nn.Module) -> bool:
    """Whether every weight and statistic is: the last step of an epoch may spoil them, and no loss has told yet."""
    return all(bool(values.isfinite().all()) for values in model.state_dict().values())


def train_epoch(model: nn.Module, optimizer, run: Run, task: Task, epoch: int, begun: Begun) -> dict:
    """One epoch, or what is left of it -> {"lr", "loss", …the task's figures}: lr of its last step, the others over its rows
    as they were seen. `begun` goes with it; it ends early where `run.stop` says so."""
    recipe, sums = task.recipe, begun.sums
    order = task.order(np.random.default_rng([run.seed, epoch]))
    steps = math.ceil(len(order) / recipe.batch_size)
    lr = recipe.learning_rate(epoch * steps - 1, recipe.epochs * steps)
    model.train()
    ghosts = Ghosts(model)
    with Team(model, _workers(task, run.device), task.scratch) as team:
        todo = ahead.steps(task, order, [run.seed, epoch], run.ranks, begun.steps)
        for step, (size, parts) in enumerate(todo, begun.steps):
            lr = recipe.learning_rate((epoch - 1) * steps + step, recipe.epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = lr * group["lr_scale"]

            def work(network, scratch, part, size=size):
                ghosts(len(part.batches))
                loss, counts = task.part_loss(network, part.loaded(), part.rng, scratch)
                (loss * (len(part) / size)).backward()
                return {"loss": loss.detach() * len(part), **counts}

            found = team.gradients(parts, work)
            for counts in found:
                for name, value in counts.items():
                    sums[name] = sums[name] + value if name in sums else value.float()
            gradients = [parameter.grad for parameter in team.trained[0]]
            run.ranks.add(gradients)
            task.gradients_ready(model, gradients, size, found, run.ranks)
            nn.utils.clip_grad_norm_(team.trained[0], recipe.clip_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            task.after_step(model)
            begun.steps = step + 1
            run.tick(size)
            look = step % LOOK_EVERY == 0 or step == steps - 1
            if look and not math.isfinite(run.ranks.total(sums)["loss"]):
                raise DataError(f"the loss is not finite in epoch {epoch} (lr {lr:.3g}); lower lr or clip_norm")
            if run.stop():
                break
    total = run.ranks.total(sums)
    return {"lr": lr, "loss": round(total["loss"] / len(order), 6), **task.figures(total, len(order))}


def _workers(task: Task, device: torch.device) -> int:
    """Copies of the network that share a step: one a core at most, and no more than there are micro-batches. One alone where
    micro-batches are joined."""
    if device.type != "cpu" or task.joins > 1:
        return 1
    return min(torch.get_num_threads(), math.ceil(task.recipe.batch_size / task.recipe.micro_batch))


def make_optimizer(groups: list[dict], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over a task's groups; each group's lr is set before each step."""
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=0.0, betas=(recipe.momentum, 0.999), fused=True)
    return torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum, fused=True)
