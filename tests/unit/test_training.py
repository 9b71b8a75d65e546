"""Recipes, the schedule, batches, and a run that is resumed."""

import contextlib
import re
from dataclasses import asdict

import numpy as np
import pytest
import torch

from mma82cli import share
from mma82cli.records import DataError, WrongUsage
from mma82cli.skeleton.layouts import load_layout
from mma82cli.taxonomy import Taxonomy
from mma82cli.training import checkpoint
from mma82cli.training.ahead import micro_batches
from mma82cli.training.loop import Run, fit
from mma82cli.training.recipe import changed, load_recipe, recipe_from_dict
from mma82cli.training.skeleton.clips import Clip, Clips, ClipStore, LayoutOfStream, read_clip
from mma82cli.training.skeleton.recipe import PoseC3DRecipe, STGCNRecipe
from mma82cli.training.skeleton.task import SkeletonTask

LAYOUT = load_layout("coco17")
LABELS = Taxonomy("three", ["a", "b", "c"], [0, 0, 1], ["x", "y"])
SMALL = {"frames": 8, "size": 8, "train_size": 8, "base_channels": 4, "stage_blocks": (1, 1), "temporal_strides": (1, 1),
         "batch_size": 8, "micro_batch": 4, "lr_batch": 8, "lr": 0.05}  # fmt: skip


def clips(n=20, classes=3, seed=0) -> Clips:
    rng, poses = np.random.default_rng(seed), np.random.default_rng(0).uniform(50, 250, (classes, 17, 3))
    made = []
    for i in range(n):
        joints = (poses[i % classes] + rng.normal(0, 9, (1 + i % 2, 5 + i, 17, 3))).astype(np.float32)
        joints[..., 2] = 1
        made.append(Clip(joints, (240, 320), i % classes))
    return Clips(ClipStore(made).arrays())


# -- recipes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.stem for path in (share.share_dir() / "recipes").glob("*.toml")))
def test_shipped_recipes_say_every_key_and_survive_a_checkpoint(name):
    recipe = load_recipe(name)
    text = share.find("recipes", name, ".toml").read_text()
    assert sorted(re.findall(r"^(\w+) = ", text, re.M)) == sorted(asdict(recipe))
    assert recipe_from_dict(asdict(recipe)) == recipe


def test_the_papers_recipe():
    recipe = load_recipe("posec3d")
    assert recipe == PoseC3DRecipe()
    assert (recipe.frames, recipe.size, recipe.train_size, recipe.stage_blocks) == (32, 64, 56, (4, 6, 3))
    assert (recipe.lr, recipe.batch_size, recipe.weight_decay, recipe.clip_norm, recipe.epochs) == (0.2, 128, 3e-4, 40, 60)
    assert recipe.temporal_strides == (1, 1, 1) and load_recipe("posec3d-ntu").temporal_strides == (1, 1, 2)


def test_toml_of_a_recipe_reads_back(tmp_path):
    recipe = changed(PoseC3DRecipe(), lr=1e-7, weight_decay=3e-5, stage_blocks=[1, 2, 3], double_flip=True, heatmaps="limb")
    (tmp_path / "r.toml").write_text(recipe.to_toml())
    assert load_recipe(str(tmp_path / "r.toml")) == recipe


def test_overrides_take_the_type_of_the_key():
    recipe = load_recipe("posec3d", ["epochs=3", "lr = 1", "heatmaps=limb", "stage_blocks=[1,1,1]", "double_flip=true"])
    assert (recipe.epochs, recipe.lr, recipe.heatmaps, recipe.double_flip) == (3, 1.0, "limb", True)
    assert recipe.stage_blocks == (1, 1, 1)
    assert type(recipe.lr) is float


@pytest.mark.parametrize(
    "override, said",
    [
        ("epoch=3", "did you mean 'epochs'"),
        ("epochs", "expected KEY=VALUE"),
        ("epochs=3.5", "expected an integer"),
        ("epochs=0", "expected 1 to"),
        ("lr=nan", "expected 0 to"),
        ("lr=fast", "expected a number"),
        ("heatmaps=joints", "expected joint or limb"),
        ("stage_blocks=[]", "stage_blocks"),
        ("stage_blocks=4", "expected a list of integers"),
        ("crop_area=[1.0,0.5]", "[smallest, largest]"),
        ("size=60", "a multiple of 8"),
        ("double_flip=1", "expected true or false"),
        ("dilate=2", "the keys are model, optimizer"),
    ],
)
def test_a_bad_override_is_named(override, said):
    with pytest.raises(WrongUsage, match=".") as error:
        load_recipe("posec3d", [override])
    assert said in str(error.value) and f"posec3d.toml --set {override}: " in str(error.value)


def test_a_bad_file_is_named(tmp_path):
    path = tmp_path / "mine.toml"
    for text, said in (("lr = ", "not TOML"), ("speed = 3", "no recipe key 'speed'"), ("[sgd]\nlr = 1", "no recipe key 'sgd'")):
        path.write_text(text)
        with pytest.raises(WrongUsage, match="mine.toml") as error:
            load_recipe(str(path))
        assert said in str(error.value)


# -- schedule and batches --------------------------------------------------------------------------------------


def test_cosine_without_warmup_is_the_papers():
    recipe = PoseC3DRecipe()
    rates = [recipe.learning_rate(step, 1000) for step in range(1000)]
    assert rates[0] == 0.2 and rates[500] == pytest.approx(0.1) and 0 < rates[-1] < 1e-6
    assert changed(recipe, batch_size=32).learning_rate(0, 10) == pytest.approx(0.05)


def test_warmup_rises_then_falls():
    recipe = changed(PoseC3DRecipe(), warmup=0.1)
    rates = np.array([recipe.learning_rate(step, 200) for step in range(200)])
    assert rates.argmax() == 20 and rates.max() == pytest.approx(0.2)
    assert (np.diff(rates[:21]) > 0).all() and (np.diff(rates[20:]) < 0).all() and (rates > 0).all()


def test_micro_batches_leave_no_clip_alone():
    sizes = [len(part) for part in micro_batches(np.arange(33), 16)]
    assert sizes == [11, 11, 11]
    assert [len(part) for part in micro_batches(np.arange(128), 16)] == [16] * 8


def test_gather_finds_frames_of_each_person():
    data = clips(4)
    points, shapes = data.gather(np.array([0, 3]), np.array([[0, 4], [2, 7]]))
    assert points.shape == (2, 2, 2, 17, 3) and shapes.tolist() == [[240, 320]] * 2
    assert (points[0, 1] == 0).all(), "clip 0 has one person"
    first = data.first[3]
    there = (data.joints[first + 1 * 8 + 7] + data.origins[3]) / data.parts[3]
    assert torch.equal(points[1, 1, 1], there)


def test_batches_are_drawn_by_the_generator_alone():
    recipe = changed(PoseC3DRecipe(), **SMALL, rotate=20.0, scale=0.2, jitter=0.02, time_crop=0.5)
    data, rows, inputs = clips(), np.arange(6), recipe.inputs(LAYOUT)
    one, two, other = (
        inputs.train(data, rows, np.random.default_rng(s), inputs.scratch()).clone() for s in (1, 1, 2)
    )
    assert one.shape == (6, 17, 8, 8, 8) and torch.equal(one, two) and not torch.equal(one, other)
    assert inputs.test(data, rows, 3).shape == (18, 17, 8, 8, 8)


@pytest.mark.parametrize("heatmaps, channels", [("joint", 17), ("limb", 17), ("joint+limb", 34)])
def test_heatmaps_in_a_mirror_are_those_of_mirrored_joints(heatmaps, channels):
    inputs = changed(PoseC3DRecipe(), **SMALL, heatmaps=heatmaps).inputs(LAYOUT)
    points = torch.rand(2, 2, 3, 17, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([6.0, 6.0, 1.0]) + 0.5
    points[..., 11, 0], points[..., 12, 0] = 1.0, 6.0  # a limb shorter than a pixel is drawn as its first joint
    maps = inputs.draw(points, 8)
    assert maps.shape == (2, channels, 3, 8, 8) and len(inputs) == channels
    other = points[:, :, :, LAYOUT.mirrored()] * torch.tensor([-1.0, 1.0, 1.0]) + torch.tensor([7.0, 0.0, 0.0])
    expected = inputs.draw(other, 8)
    inside = slice(2, 6)  # windows at the picture's edge are cut towards zero, on one side only
    torch.testing.assert_close(inputs.mirror(maps)[..., inside, inside], expected[..., inside, inside], atol=0.02, rtol=0)


def test_distortion_leaves_missing_joints_missing():
    joints = np.random.default_rng(0).uniform(20, 200, (1, 20, 17, 3)).astype(np.float32)
    joints[:, :, 5] = 0
    joints[..., 2] = joints[..., 2] > 0
    recipe = changed(PoseC3DRecipe(), **SMALL, rotate=180.0, jitter=0.5, flip=0.0)
    data = Clips(ClipStore([Clip(joints, (240, 320))]).arrays())
    drawn = recipe.inputs(LAYOUT).train(data, np.array([0]), np.random.default_rng(0))
    assert (drawn[:, 5] == 0).all() and (drawn[:, 6] > 0).any()


@pytest.mark.parametrize("kind", [PoseC3DRecipe, STGCNRecipe])
def test_a_nearer_camera_shows_fewer_joints_to_any_network(kind):
    def drawn(crop):
        inputs = changed(kind(), frames=8, crop=crop, crop_side=0.01).inputs(LAYOUT)
        return inputs.train(clips(), np.arange(6), np.random.default_rng(0), inputs.scratch()).clone()

    def empty(batch):  # channels or joints with nothing in them
        return int((batch.flatten(2) == 0).all(2).sum()) if kind is PoseC3DRecipe else int((batch[..., 2] == 0).sum())

    assert empty(drawn(1.0)) > empty(drawn(0.0))


@pytest.mark.parametrize("kind", [PoseC3DRecipe, STGCNRecipe])
def test_a_steady_network_does_not_see_a_hand_held_camera(kind):
    random = np.random.default_rng(0)
    still = random.uniform(60, 200, (1, 1, 17, 3)).repeat(12, 1)
    still[:, :, 3, 0] += np.arange(12)  # one joint moves
    shaken = still + np.append(random.integers(-20, 20, (1, 12, 1, 2)), np.zeros((1, 12, 1, 1)), -1)  # boxes are of whole pixels

    def drawn(joints, steady):
        data = Clips(ClipStore([Clip(joints.astype(np.float32), (300, 300))]).arrays())
        inputs = changed(kind(), frames=8, steady=steady).inputs(LAYOUT)
        rng = np.random.default_rng(0)
        test = inputs.test(data, np.array([0]), 2, inputs.scratch()).clone()
        return torch.cat((test.flatten(), inputs.train(data, np.array([0]), rng, inputs.scratch()).flatten()))

    torch.testing.assert_close(drawn(shaken, True), drawn(still, True), atol=1e-3, rtol=1e-3)
    assert (drawn(shaken, False) - drawn(still, False)).abs().max() > 0.1


# -- clips -----------------------------------------------------------------------------------------------------


def test_a_clip_of_null_frames_is_empty_and_scores_of_zero_are_missing():
    record = {"layout": "coco17", "keypoints": [None, [5.0, 6.0, 0.0] * 17], "width": 64, "height": 48}
    clip = read_clip(record, LAYOUT)
    assert clip.empty and clip.shape == (48, 64) and (clip.joints == 0).all()


def test_records_must_share_a_layout():
    layouts = LayoutOfStream()
    assert layouts.check({"layout": "coco17", "keypoints": []}).name == "coco17"
    for bad in ({"layout": "jhmdb15"}, {}, {"layout": 3}):
        with pytest.raises(DataError, match="layout"):
            layouts.check({"keypoints": [], **bad})
    with pytest.raises(DataError, match="nobody"):
        LayoutOfStream().check({"layout": "nobody", "keypoints": []})
    with pytest.raises(DataError, match="'keypoints' is missing"):
        LayoutOfStream().check({"layout": "coco17"})


# -- runs ------------------------------------------------------------------------------------------------------


def weights(folder, name=checkpoint.LAST):
    from safetensors.torch import load_file

    return load_file(str(folder / name))


def a_run(folder, recipe, seed=0):
    folder.mkdir(exist_ok=True)
    return recipe.inputs(LAYOUT).network(3, seed), Run(folder, {"target": "label"}, seed)


def a_task(recipe, train, val=None):
    return SkeletonTask(recipe.inputs(LAYOUT), LABELS, train, val, torch.device("cpu"))


GRAPH = {"frames": 8, "lr": 0.03, "channels": (12, 24), "dilations": (1, 2), "batch_size": 8, "micro_batch": 4}
RECIPES = [changed(PoseC3DRecipe(), **SMALL, optimizer=name) for name in ("sgd", "adamw")]
RECIPES.append(changed(STGCNRecipe(), **GRAPH))


@pytest.mark.parametrize("recipe", RECIPES, ids=["sgd", "adamw", "stgcn"])
def test_a_resumed_run_is_the_unbroken_one(tmp_path, recipe):
    recipe = changed(recipe, epochs=3)
    whole = list(fit(*a_run(tmp_path / "whole", recipe), a_task(recipe, clips(), clips(9, seed=1))))

    model, job = a_run(tmp_path / "broken", recipe)
    epochs = fit(model, job, a_task(recipe, clips(), clips(9, seed=1)))
    parts = [next(epochs)]
    epochs.close()
    model, job = a_run(tmp_path / "broken", recipe, seed=0)
    parts += list(fit(model, job, a_task(recipe, clips(), clips(9, seed=1)), resume=True))

    for a, b in zip(whole, parts, strict=True):
        assert {**a, "seconds": 0} == {**b, "seconds": 0}
    for name in (checkpoint.LAST, checkpoint.BEST, checkpoint.STATE):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "broken" / name).read_bytes(), name
    assert (tmp_path / "broken" / "log.jsonl").read_bytes().count(b"\n") == 3


def test_a_run_that_ends_between_two_files_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    recipe, replace, left = changed(RECIPES[2], epochs=2), checkpoint.replace, [1000]
    train, val = clips(), clips(9, seed=1)

    def ending(path, data):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        replace(path, data)

    monkeypatch.setattr(checkpoint, "replace", ending)

    def begun(folder, writes):
        left[0] = writes
        model, job = a_run(folder, recipe)
        job.timed = False
        with contextlib.suppress(KeyboardInterrupt):
            list(fit(model, job, a_task(recipe, train, val)))
        return job

    begun(tmp_path / "whole", 1000)
    files = 1000 - left[0]
    assert files > 6
    for writes in range(files):
        folder = tmp_path / str(writes)
        job = begun(folder, writes)
        assert left[0] < 0
        left[0] = 1000
        model, _ = a_run(folder, recipe)
        list(fit(model, job, a_task(recipe, train, val), resume=(folder / checkpoint.STATE).exists()))
        for path in (tmp_path / "whole").iterdir():
            assert path.read_bytes() == (folder / path.name).read_bytes(), f"{path.name} after {writes} writes"


@pytest.mark.parametrize("recipe", RECIPES[1:], ids=["posec3d", "stgcn"])
def test_learning_happens(tmp_path, recipe):
    recipe = changed(recipe, epochs=12, dropout=0.0)
    figures = list(fit(*a_run(tmp_path / "r", recipe), a_task(recipe, clips(24), clips(24))))
    assert figures[-1]["loss"] < 0.8 * figures[0]["loss"]


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_last_checkpoint(tmp_path):
    recipe = changed(PoseC3DRecipe(), **SMALL, epochs=3)
    model, job = a_run(tmp_path / "r", recipe)
    epochs = fit(model, job, a_task(recipe, clips()))
    next(epochs)
    before = (tmp_path / "r" / checkpoint.LAST).read_bytes()
    with torch.no_grad():
        model.cls_head.fc_cls.bias.fill_(float("nan"))
    with pytest.raises(DataError, match="loss is not finite in epoch 2"):
        next(epochs)
    assert (tmp_path / "r" / checkpoint.LAST).read_bytes() == before
    assert all(torch.isfinite(value).all() for value in weights(tmp_path / "r").values())


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        checkpoint.save(tmp_path / "nowhere" / "best.safetensors", {"a": torch.zeros(2)}, {})



def test_the_number_of_cores_changes_nothing(tmp_path):
    """A step's micro-batches are summed in order, whoever does them."""
    recipe, threads = changed(PoseC3DRecipe(), **{**SMALL, "micro_batch": 2}, epochs=1), torch.get_num_threads()
    try:
        for workers in (1, 3):
            torch.set_num_threads(workers)
            list(fit(*a_run(tmp_path / str(workers), recipe), a_task(recipe, clips())))
            assert torch.get_num_threads() == workers
    finally:
        torch.set_num_threads(threads)
    one, three = ((tmp_path / n / checkpoint.STATE).read_bytes() for n in ("1", "3"))
    assert one == three


# -- packed clips ------------------------------------------------------------------------------------------------


def unpacked(*made: Clip):
    """What `gather` gives of whole clips."""
    data = Clips(ClipStore(made).arrays())
    return [data.gather(np.array([i]), np.arange(data.frames[i])[None])[0][0].numpy() for i in range(len(made))]


@pytest.mark.parametrize("persons", [1, 3])
def test_what_records_say_comes_back_exactly(persons):
    rng = np.random.default_rng(persons)
    joints = np.round(rng.uniform(700, 1300, (persons, 9, 17, 3)), 2)
    joints[..., 2] = np.round(rng.random(joints.shape[:-1]), 3).clip(0.001)
    joints[0, 2, 3] = 0
    joints = joints.astype(np.float32)
    (back,) = unpacked(Clip(joints, (1080, 1920)))
    np.testing.assert_array_equal(back, joints)


@pytest.mark.parametrize("size", [1e-3, 1.0, 5e3])
def test_other_numbers_come_back_to_a_part_of_their_box(size):
    joints = (np.random.default_rng(0).random((1, 9, 17, 3)) * [size, size, 1]).astype(np.float32)
    back, nothing, wide = unpacked(Clip(joints, (8, 8)), Clip(joints * 0, (8, 8)), Clip(joints + [1e5, 0, 0], (8, 8)))
    assert np.abs(back - joints)[..., :2].max() <= size / 65534 and np.abs(back - joints)[..., 2].max() <= 1 / 32767
    assert (nothing == 0).all() and np.abs(wide[..., 0] - 1e5 - joints[..., 0]).max() <= max(size / 65534, 0.02)


# -- rare classes ------------------------------------------------------------------------------------------------


def a_long_tail(**keys):
    """A task on 30 clips, 20 of the first label and 5 of each other one."""
    made = clips(30)
    made.labels[:] = torch.tensor([0] * 20 + [1] * 5 + [2] * 5)
    return a_task(changed(STGCNRecipe(), **keys), made)


def test_class_balance_draws_labels_as_often():
    task = a_long_tail(class_balance=1.0)
    drawn = np.concatenate([task.order(np.random.default_rng(seed)) for seed in range(60)])
    shares = np.bincount(task.train.labels.numpy()[drawn]) / len(drawn)
    assert len(drawn) == 60 * 30 and np.abs(shares - 1 / 3).max() < 0.05
    plain = a_long_tail().order(np.random.default_rng(0))
    assert sorted(plain) == list(range(30))


def test_logit_adjustment_makes_rare_labels_win_by_more():
    even, labels = torch.zeros(3, 3), torch.tensor([0, 1, 2])
    losses = [a_long_tail(logit_adjustment=1.0, label_smoothing=0.0).loss(even[[i]], labels[[i]]).item() for i in range(3)]
    assert losses == pytest.approx([-np.log(20 / 30), -np.log(5 / 30), -np.log(5 / 30)], rel=1e-5)


def test_body_loss_adds_the_cross_entropy_of_the_body():
    task, plain = a_long_tail(body_loss=0.5), a_long_tail()
    logits, labels = torch.tensor([[1.0, 0.5, 2.0]]), torch.tensor([1])
    chances = logits.softmax(1)[0]
    added = -0.5 * torch.log(chances[0] + chances[1])  # labels 0 and 1 are of one body
    assert task.loss(logits, labels) - plain.loss(logits, labels) == pytest.approx(added.item(), rel=1e-5)
