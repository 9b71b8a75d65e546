"""A network of joints adapted to other domains from a few clips: the three ways of `adapt`."""

from __future__ import annotations

import copy
import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from mma82cli.training.adaptation import fit_heads, prototypes
from mma82cli.training.loop import make_optimizer
from mma82cli.training.recipe import changed
from mma82cli.training.skeleton.clips import Clips, ClipStore
from mma82cli.training.skeleton.inference import SkeletonInference
from mma82cli.training.skeleton.predict import Predictor
from mma82cli.training.skeleton.recipe import SkeletonRecipe
from mma82cli.training.skeleton.task import SkeletonTask
from mma82cli.training.task import Asked


class SkeletonAdaptation:
    """Target clips, and what each of many runs makes of them after it has seen its support.

    `rows` (N,) are clips of one domain, `support` (R, N) says which of them each of R runs learns from; answers are
    probabilities (R, N, C).
    """

    def __init__(self, model, recipe, about: dict, asked: Asked, device, dtype):
        self.model, self.recipe, self.asked, self.device, self.dtype = model, recipe, asked, device, dtype
        self.reader = SkeletonInference(model, recipe, about, asked, device, dtype)
        self.store = ClipStore()
        self._all: Clips | None = None

    def add(self, record: dict) -> tuple[int, bool]:
        """Keeps the joints of a record; returns its label's id, and whether it has any joint. Raises DataError."""
        label = self.asked.labels.id(record.get(self.asked.target), self.asked.target)
        clip = self.reader.check(record)._replace(label=label)
        self.store.append(clip)
        return label, not clip.empty

    def heads(self, rows: np.ndarray, support: np.ndarray, pull: float) -> np.ndarray:
        """The last layer fitted to each run's support."""
        layer = self.model.cls_head.fc_cls
        features, labels, chosen = self._frozen(rows, support)
        weight, bias = (value.detach().float().to(self.device) for value in (layer.weight, layer.bias))
        return fit_heads(features, labels, chosen, weight, bias, pull).softmax(2).cpu().numpy()

    def prototypes(self, rows: np.ndarray, support: np.ndarray) -> np.ndarray:
        """The cosine with the mean direction of each class's support."""
        features, labels, chosen = self._frozen(rows, support)
        return prototypes(features, labels, chosen, len(self.asked.labels)).softmax(2).cpu().numpy()

    def networks(self, rows: np.ndarray, support: np.ndarray, steps: int, lr: float, seed: int) -> np.ndarray:
        """Every layer of a copy of the network trained for `steps` steps on each run's support; batch norm keeps the
        statistics that it came with."""
        answers = []
        for run, chosen in enumerate(support):
            network = copy.deepcopy(self.model).to(self.device).float().eval()
            if chosen.any():
                self._train(network, rows[chosen], steps, lr, np.random.default_rng([seed, run]))
            answers.append(Predictor(network, self.reader.predictor.inputs, self.device, self.dtype).some(self._clips(), rows))
        return np.stack(answers)

    def _train(self, network, rows: np.ndarray, steps: int, lr: float, rng: np.random.Generator) -> None:
        size = min(len(rows), self.recipe.batch_size)
        recipe: SkeletonRecipe = changed(
            self.recipe, optimizer="adamw", lr=lr, lr_batch=size, batch_size=size, warmup=0.0,
            logit_adjustment=0.0, class_balance=0.0, body_loss=0.0,
        )  # fmt: skip
        inputs = recipe.inputs(self.reader.layouts.layout)
        task = SkeletonTask(inputs, self.asked.labels, self._clips(), None, self.device, self.dtype)
        optimizer, scratch = make_optimizer(task.parameter_groups(network), recipe), inputs.scratch()
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate(step, steps)
            loss, _ = task.part_loss(network, rng.permutation(rows)[:size], rng, scratch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
            optimizer.step()

    def _clips(self) -> Clips:
        if self._all is None:  # the last has come
            self._all = Clips(self.store.arrays(), self.device)
            self.store = ClipStore()
        return self._all

    def _frozen(self, rows: np.ndarray, support: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Features (N, F), labels (N,) and support (R, N) on the device."""
        clips = self._clips()
        chosen = torch.from_numpy(support).to(self.device)
        return torch.from_numpy(self._features(rows)).to(self.device), clips.labels[clips.at(rows)], chosen

    def _features(self, rows: np.ndarray) -> np.ndarray:
        """float32 (N, F) of the clips `rows`; those kept in the cache are not computed again."""
        clips, kept = self._clips(), FeatureCache(self.asked.cache, self.model, self.recipe)
        keys = [clips.digest(row) for row in rows.tolist()]
        new = np.array([row for row, key in zip(rows.tolist(), keys, strict=True) if key not in kept.found], np.int64)
        if len(new):
            computed = self.reader.predictor.features(clips, new)
            kept.add({clips.digest(row): value for row, value in zip(new.tolist(), computed, strict=True)})
        return np.stack([kept.found[key] for key in keys])


class FeatureCache:
    """Features by the hash of a clip's joints, in a file of the folder (None: nowhere) that is named by the hash of the
    network and of what it is shown."""

    def __init__(self, folder: str | None, model, recipe):
        said = {key: value for key, value in asdict(recipe).items() if key in ("frames", "steady", "size", "sigma", "heatmaps",
                "sampling", "clips", "double_flip", "time_crop")}  # fmt: skip
        name = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
        for tensor in model.state_dict().values():
            name.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        self.path = folder and Path(folder) / f"features-{name.hexdigest()[:24]}.npz"
        self.found: dict[str, np.ndarray] = {}
        if self.path:  # where there is none, or a damaged one, they are computed again
            with suppress(OSError, EOFError, ValueError, KeyError, BadZipFile), np.load(self.path) as file:
                self.found = dict(zip(file["keys"].tolist(), file["features"], strict=True))

    def add(self, new: dict[str, np.ndarray]) -> None:
        """Takes features up, and keeps them."""
        self.found |= new
        if self.path:
            from io import BytesIO

            from mma82cli.stream import Output

            self.path.parent.mkdir(parents=True, exist_ok=True)
            data = BytesIO()
            np.savez(data, keys=np.array(list(self.found)), features=np.stack(list(self.found.values())))
            with Output(str(self.path)) as out:
                out.write(data.getvalue())
