"""What a detector trains on and how: windows of films, batches without padding, steps, and films of any length."""

import threading
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mma82cli.detection import losses, targets
from mma82cli.models import actionformer
from mma82cli.models.adatad import level_masks
from mma82cli.records import DataError, WrongUsage
from mma82cli.taxonomy import Taxonomy
from mma82cli.training.detection.films import Film
from mma82cli.training.detection.packing import moving, pack
from mma82cli.training.detection.predict import Detector, _ahead
from mma82cli.training.detection.recipe import AdaTADRecipe
from mma82cli.training.detection.task import DetectionTask, bucketed, make_model, repeats
from mma82cli.training.detection.views import draw_box, draw_light, draw_window, lit, train_view
from mma82cli.training.loop import Run, fit
from mma82cli.training.recipe import changed, load_recipe, recipe_from_dict
from mma82cli.video import Clip

SMALL = {
    "window": 64, "stride": 2, "short_side": 32, "size": 32, "image_size": 32, "dim": 16, "depth": 3, "heads": 2, "adapter": 4,
    "channels": 16, "head_heads": 2, "branch": 2, "drop_path": 0.0, "path_drop": 0.0,
}  # fmt: skip
PLAIN = {"crop_area": (1.0, 1.0), "crop_shape": (1.0, 1.0), "flip": 0.0, "jitter": 0.0, "shorten": (1.0, 1.0), "bucket": 1}
LABELS = Taxonomy("three", ["a", "b", "c"])


pytestmark = pytest.mark.usefixtures("one_thread")


def recipe_of(**changes) -> AdaTADRecipe:
    return changed(AdaTADRecipe(), **{**SMALL, **changes})


class Source:
    """Films of noise, ten frames a second; the clip's path is its number, its end how long it is."""

    side = 32

    def frame(self, clip: Clip, number: int) -> np.ndarray:
        return np.random.default_rng([int(clip.path), number]).integers(0, 256, (32, 32, 3), np.uint8)

    def stamps(self, clip: Clip) -> np.ndarray:
        return np.arange(round(10 * clip.end)) / 10

    def pick(self, clip: Clip, wanted) -> list[np.ndarray]:
        return [self.frame(clip, number) for number in wanted]

    def stream(self, clip: Clip, every: int = 1):
        return ((float(time), self.frame(clip, i * every)) for i, time in enumerate(self.stamps(clip)[::every]))

    def last(self, clip: Clip) -> float:
        return float(self.stamps(clip)[-1])


def film(number: int, seconds: float, *spans) -> Film:
    segments = np.array([span[:2] for span in spans], float).reshape(-1, 2)
    made = Film(f"v{number}", Clip(str(number), 0.0, seconds), segments, np.array([s[2] for s in spans], np.int64))
    made.look(Source(), 2)
    return made


FILMS = [
    film(0, 9.0, (1, 3, 0), (2, 4.5, 1)), film(1, 12.8, (0.4, 2, 2), (5, 9, 0)),
    film(2, 3.1, (0.5, 2.5, 1)), film(3, 20, (15, 18, 2)),
]  # fmt: skip


def stirred(model, seed=1):
    """The model with adapters and scales that do something."""
    torch.manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "adapter" in name or "drop_path" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


# -- batches ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill", ["clip", "window"])
def test_packed_windows_give_what_padded_ones_give(fill):
    recipe, rng = recipe_of(), np.random.default_rng(0)
    model = stirred(make_model(recipe, 3)).double().eval().requires_grad_(False)
    windows = [rng.integers(0, 256, (length, 32, 32, 3), np.uint8) for length in (5, 33, 64, 16)]
    packed = pack(windows, 64, fill, "cpu")
    assert packed.windows == ([1, 3, 4, 1] if fill == "clip" else [4] * 4) and packed.mask.sum(1).tolist() == [5, 33, 64, 16]
    together = model.detect(model.features(packed.clips, packed.windows, packed.lengths), packed.mask)
    for i, frames in enumerate(windows):
        end = packed.windows[i] * 16
        padded = frames[np.minimum(np.arange(end), len(frames) - 1)]
        x = torch.from_numpy(padded).permute(3, 0, 1, 2)[None]
        clips = x.unflatten(2, (-1, 16)).transpose(1, 2).flatten(0, 1)
        whole = model.features(clips, [len(clips)], [end])  # every clip is needed: none is skipped
        alone = model.detect(whole, packed.mask[i : i + 1])
        for (logits, offsets, _), (want, want_offsets, _), valid in zip(
            together, alone, level_masks(packed.mask[i : i + 1], 3), strict=True
        ):
            torch.testing.assert_close(logits[i].mT[valid[0]], want[0].mT[valid[0]], atol=1e-9, rtol=0)
            torch.testing.assert_close(offsets[i].mT[valid[0]], want_offsets[0].mT[valid[0]], atol=1e-9, rtol=0)


def test_what_stands_still_is_taken_away():
    rng = np.random.default_rng(0)
    windows = [rng.integers(0, 100, (length, 32, 32, 3), np.uint8) for length in (5, 33, 16)]
    scenery = rng.integers(0, 150, (32, 32, 3), np.uint8)
    packed, behind = pack(windows, 48, "clip", "cpu", "remove"), pack([w + scenery for w in windows], 48, "clip", "cpu", "remove")
    assert packed.windows == [1, 3, 1] and packed.clips.dtype == torch.float32
    torch.testing.assert_close(behind.clips, packed.clips, atol=1e-4, rtol=0)
    for frames, clips in zip(windows, packed.clips.split(packed.windows), strict=True):
        seen = clips.permute(0, 2, 3, 4, 1).flatten(0, 1).double()
        left = frames - frames.mean(0)
        torch.testing.assert_close(seen[: len(frames)], torch.from_numpy(left / left.std()), atol=1e-4, rtol=0)
        assert (seen[len(frames) :] == seen[len(frames) - 1]).all()  # what fills up is in neither mean nor scale
    noise = scenery + (np.arange(8) % 2).astype(np.uint8)[:, None, None, None]
    assert moving(torch.from_numpy(noise)).abs().max() == 0.5  # noise stays small
    assert not moving(torch.from_numpy(windows[0][:1])).any()


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(1, 5), st.integers(1, 9), st.integers(0, 3))
def test_buckets_hold_every_row_once(lengths, batch, bucket, seed):
    order = np.random.default_rng(seed).permutation(len(lengths))
    rows = bucketed(order, lengths, batch, bucket, np.random.default_rng(seed))
    assert sorted(rows) == list(range(len(lengths)))


def test_steps_of_a_bucket_are_of_like_length():
    lengths = np.random.default_rng(0).integers(1, 256, 400).tolist()
    rows = bucketed(np.arange(400), lengths, 4, 10, np.random.default_rng(0)).reshape(-1, 4)
    assert np.ptp(np.array(lengths)[rows], axis=1).mean() < 30 < np.ptp(np.reshape(lengths, (-1, 4)), axis=1).mean()


def test_rare_labels_come_more_often():
    often = [film(i, 5, (1, 2, 0)) for i in range(15)] + [film(15, 5, (1, 2, 0), (3, 4, 1))]
    assert repeats(often, 3, 0.0).tolist() == [1.0] * 16
    assert repeats(often, 3, 0.25).tolist() == [1.0] * 15 + [2.0]  # sqrt(0.25 / (1 / 16))
    task = task_of(often, repeat_rare=0.25)
    assert np.bincount(task.order(np.random.default_rng(0))).tolist() == [1] * 15 + [2]


# -- windows ---------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(0, 3), st.sampled_from([(1.0, 1.0), (0.5, 1.0)]))
def test_a_window_keeps_what_is_in_it(seed, number, shorten):
    recipe, one = recipe_of(shorten=shorten), FILMS[number]
    begin, length, segments, labels = draw_window(one, recipe, np.random.default_rng(seed))
    count = len(one.times)
    assert begin >= 0 and begin + length <= count and length <= 64 and len(segments) == len(labels)
    assert length >= min(64, round(shorten[0] * count)) and (segments >= 0).all() and (segments <= length).all()
    spans = one.segments * 5  # ten frames a second, every second one
    inside = np.minimum(spans[:, 1], begin + length) - np.maximum(spans[:, 0], begin)
    kept = inside >= 0.75 * (spans[:, 1] - spans[:, 0]) - 1e-9
    assert labels.tolist() == one.labels[kept].tolist()
    np.testing.assert_allclose(segments[:, 1] - segments[:, 0], inside[kept], atol=1e-9)


def test_a_view_is_drawn_by_its_generator_alone():
    views = [train_view(Source(), FILMS[0], recipe_of(), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert (views[0].frames == views[1].frames).all() and views[0].frames.shape[1:] == (32, 32, 3)
    assert views[0].frames.shape != views[2].frames.shape or (views[0].frames != views[2].frames).any()


def test_boxes_and_light():
    rng = np.random.default_rng(0)
    for _ in range(200):
        x, y, width, height = draw_box(320, 182, recipe_of(crop_area=(0.3, 0.5)), rng)
        assert 0 <= x <= 320 - width and 0 <= y <= 182 - height
        assert 0.28 < width * height / (320 * 182) < 0.52 and 0.74 < width / height < 1.35
    frames = rng.integers(0, 256, (2, 8, 8, 3), np.uint8)
    assert draw_light(0.0, rng) is None and lit(frames, None) is frames
    same = np.hstack((np.eye(3), np.zeros((3, 1))))
    assert (lit(frames, same) == frames).all()
    darker = lit(frames, np.hstack((0.5 * np.eye(3), np.zeros((3, 1)))))
    assert abs(darker.astype(int) * 2 - frames).max() <= 1


# -- steps -----------------------------------------------------------------------------------------------------


def task_of(train, val=(), **changes) -> DetectionTask:
    recipe = recipe_of(**{**PLAIN, **changes})
    return DetectionTask(recipe, Source(), {"train": train, "val": list(val)}, LABELS, torch.device("cpu"), torch.float32, print)


def plain_steps(model, recipe, order):
    """AdamW steps on whole padded windows, as a reader of the paper would take them: losses divided by the moving mean, norm
    clipped, adapters and head trained."""
    points = torch.cat([actionformer.points(level, 64 // 2**level, 3) for level in range(3)])
    head = [p for n, p in model.named_parameters() if not n.startswith("backbone.")]
    adapters = [p for n, p in model.named_parameters() if ".adapter." in n]
    decays = [p for n, p in model.named_parameters() if not n.startswith("backbone.") and p.ndim > 1 and "scale" not in n]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".adapter." in name or not name.startswith("backbone."))
    plain = [p for p in head if all(p is not d for d in decays)]
    groups = [{"params": adapters + decays, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    optimizer, normalizer, said = torch.optim.AdamW(groups, lr=0.0), 100.0, []
    for step, rows in enumerate(order):
        parts = []
        for row in rows:
            one = FILMS[row]
            frames = torch.from_numpy(np.stack(Source().pick(one.clip, range(0, 2 * len(one.times), 2)))[..., ::-1].copy())
            frames = torch.cat((frames, frames[-1:].expand(64 - len(frames), -1, -1, -1))).permute(3, 0, 1, 2)[None]
            mask = torch.arange(64)[None] < len(one.times)
            clips = frames.unflatten(2, (-1, 16)).transpose(1, 2).flatten(0, 1)
            levels = model.detect(model.features(clips, [4], [64]), mask)
            classes, distances = targets.assign(
                points, torch.from_numpy(one.segments * 5).float(), torch.from_numpy(one.labels), 3
            )
            masks = level_masks(mask, 3)
            both = losses.detection_losses(levels, masks, classes[None], distances[None])
            parts.append((sum(both), int(losses.positives(masks, classes[None]).sum())))
        normalizer = 0.9 * normalizer + 0.1 * max(sum(count for _, count in parts), 1)
        (sum(loss for loss, _ in parts) / normalizer).backward()
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate(step, len(order))
        said.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
        optimizer.step()
        optimizer.zero_grad()
    return normalizer, said


@pytest.mark.parametrize("head", [{"embed": 3, "stem": 0}, {"embed": 2, "stem": 2}])
def test_six_steps_are_those_of_a_plain_loop(tmp_path, head, monkeypatch):
    recipe = recipe_of(**PLAIN, **head, fill="window", epochs=6, micro_batch=1, lr=1e-2)
    films, norms = FILMS[:2], []
    task = DetectionTask(
        recipe, Source(), {"train": films, "val": []}, LABELS, torch.device("cpu"), torch.float32, print
    )
    ours, theirs = (stirred(make_model(recipe, 3)) for _ in range(2))
    clip = torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr("mma82cli.training.loop.nn.utils.clip_grad_norm_", lambda *a: norms.append(float(clip(*a))))
    list(fit(ours, Run(tmp_path, {}, timed=False), task))
    monkeypatch.undo()
    normalizer, want = plain_steps(theirs, recipe, [(0, 1)] * 6)
    assert norms == pytest.approx(want, rel=2e-3)
    assert float(ours.rpn_head.loss_normalizer) == pytest.approx(normalizer, rel=1e-6)
    for (name, got), (_, same) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        torch.testing.assert_close(got, same, atol=3e-4, rtol=0, msg=name)


def test_counts_outlast_a_recordings_memory():
    """Which the next micro-batch writes over."""
    task, given = task_of([film(1, 4.0, (1, 2, 0)), film(2, 3.0, (0.5, 2, 2))]), []
    model = make_model(task.recipe, len(LABELS)).train()

    def play(network, work, *tensors):
        given.extend(work(*tensors))
        return given

    task.replays = play
    rng = np.random.default_rng(0)
    _, counts = task.part_loss(model, task.load(np.array([0, 1]), rng), rng, None)
    kept = {name: value.item() for name, value in counts.items()}
    with torch.no_grad():
        for value in given:
            value.fill_(-1.0)
    assert kept["windows"] == 2 and kept["positives"] > 0 and kept["classes"] > 0
    assert kept == {name: value.item() for name, value in counts.items()}


def test_the_mean_of_the_weights_is_what_is_saved(tmp_path):
    from safetensors.torch import load_file

    task = task_of(FILMS[:2], epochs=3, average=0.5)
    model = make_model(task.recipe, 3)
    start = {name: p.clone() for name, p in model.named_parameters()}
    mean, seen = {}, []
    after = task.after_step

    def watched(network):
        after(network)
        now = {name: p.detach().clone() for name, p in network.named_parameters()}
        keep = min(0.5, (1 + len(seen)) / (11 + len(seen)))
        mean.update({name: value if not seen else keep * mean[name] + (1 - keep) * value for name, value in now.items()})
        seen.append(now)

    task.after_step = watched
    list(fit(model, Run(tmp_path, {}, timed=False), task))
    saved = load_file(tmp_path / "last.safetensors")
    for name in start:
        frozen = name.startswith("backbone.") and ".adapter." not in name
        torch.testing.assert_close(saved[name], start[name] if frozen else mean[name], atol=1e-6, rtol=0)


# -- films of any length ---------------------------------------------------------------------------------------------


def test_windows_of_several_films_go_side_by_side():
    recipe = recipe_of(least_score=0.0)
    model = stirred(make_model(recipe, 3)).requires_grad_(False)
    clips = [one.clip for one in FILMS] + [Clip("4", 0.0, 60.0)]
    alone = [next(iter(Detector(model, recipe, Source(), torch.device("cpu"))([clip]))) for clip in clips]
    torch.set_num_threads(3)  # a window each
    for one, other in zip(Detector(model, recipe, Source(), torch.device("cpu"))(clips), alone, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_allclose(one.segments, other.segments, atol=1e-4)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)


@pytest.mark.parametrize("still", ["keep", "remove"])
def test_a_detector_that_removes_what_is_still_finds_the_same_before_any_scenery(still):
    class Dim(Source):
        scenery = 0

        def frame(self, clip, number):
            return super().frame(clip, number) // 2 + np.uint8(self.scenery)

    class Bright(Dim):
        scenery = np.random.default_rng(9).integers(0, 128, (32, 32, 3))

    recipe = recipe_of(least_score=0.0, still=still)
    model = stirred(make_model(recipe, 3)).requires_grad_(False)
    clips = [Clip("0", 0.0, 20.0), Clip("1", 0.0, 3.0)]  # several windows, and a part of one
    for one, other in zip(*(Detector(model, recipe, s, torch.device("cpu"))(clips) for s in (Dim(), Bright())), strict=True):
        same = len(one.scores) == len(other.scores) and np.allclose(one.scores, other.scores, atol=1e-4)
        assert same == (still == "remove")


def test_a_bad_film_harms_no_other():
    class Torn(Source):
        def stream(self, clip, every=1):
            for i, each in enumerate(super().stream(clip, every)):
                if clip.path == "1" and i == 40:
                    raise DataError("1: it breaks off")
                yield each

    recipe = recipe_of(least_score=0.0)
    model = make_model(recipe, 3).requires_grad_(False)
    whole, broken = (list(Detector(model, recipe, s, torch.device("cpu"))([f.clip for f in FILMS])) for s in (Source(), Torn()))
    assert isinstance(broken[1], DataError)
    for i in (0, 2, 3):
        np.testing.assert_array_equal(broken[i].segments, whole[i].segments)


def test_memory_does_not_grow_with_a_film():
    recipe = recipe_of(least_score=0.0, proposals=500, size=160, image_size=160, window=32, branch=1)
    model = make_model(recipe, 3).requires_grad_(False)
    detect, peaks = Detector(model, recipe, Source(), torch.device("cpu")), []
    for seconds in (20.0, 20.0, 120.0):
        tracemalloc.start()
        assert len(next(iter(detect([Clip("0", 0.0, seconds)]))).scores) == 200
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.2 * peaks[1]  # a frame is 77 kB: all of the long film's would be 46 MB


def test_recipes_that_contradict_themselves():
    for key, value, said in (
        ("window", 100, "a multiple of 16"), ("dim", 17, "a multiple of heads"), ("overlap", 0.3, "can't overlap by 0.3"),
        ("shorten", (1.0, 0.9), "the least and the greatest"), ("suppress", "max", "gauss or linear or hard"),
        ("still", "no", "keep or remove"),
    ):  # fmt: skip
        with pytest.raises(WrongUsage, match=said):
            recipe_of(**{key: value})


def test_the_papers_recipes():
    assert load_recipe("adatad-b") == AdaTADRecipe()
    assert recipe_from_dict({"model": "adatad", "topk": 64}).still == "keep"  # of checkpoints from before there was the key
    for name, sizes in {"s": (384, 12, 6), "b": (768, 12, 12), "l": (1024, 24, 16), "h": (1280, 32, 16)}.items():
        recipe = load_recipe(f"adatad-{name}")
        assert (recipe.dim, recipe.depth, recipe.heads) == sizes and recipe.adapter == recipe.dim // 4
        assert changed(recipe, dim=768, depth=12, heads=12, adapter=192) == AdaTADRecipe()


def test_windows_made_ahead_come_in_order_and_no_thread_stays():
    made, before = [], threading.active_count()

    def items(name):
        for i in range(3):
            made.append((name, i))
            yield name, i

    coming = _ahead((items(name) for name in range(5)), most=2, depth=2)
    assert next(coming) == (0, 0)
    assert {name for name, _ in made} <= {0, 1}
    assert list(coming) == [(name, i) for name in range(5) for i in range(3)][1:]
    coming = _ahead((items(name) for name in range(5)), most=2, depth=1)
    next(coming)
    coming.close()
    assert threading.active_count() == before
