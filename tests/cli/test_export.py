"""`mma82 infer --export`: the network under onnxruntime gives what ours gives; and `--average`."""

import json
import os

import pytest
from conftest import ROOT
from test_train_rec import LABELS, QUICK, skeletons

from mma82cli.taxonomy import Taxonomy

SIZES = {
    "posec3d": {"base_channels": 4, "stage_blocks": (1, 1), "temporal_strides": (1, 2)},
    "stgcn": {"channels": (12, 24), "dilations": (1, 2)},
    "gc-tsm": {"base_channels": 8, "stage_blocks": (1, 1), "squeeze_div": 4},
}
SHAPES = {  # of an input, beside the batch
    "posec3d": {"frames": 8, "size": 16},
    "stgcn": {"frames": 16},
    "gc-tsm": {"frames": 4, "short_side": 40, "test_size": 32, "size": 32},
}


def checkpoint(folder, kind: str, seed: int = 0):
    """A checkpoint with weights and batch norm statistics at random, so that every layer tells."""
    import torch

    from mma82cli.models import module_of
    from mma82cli.training.checkpoint import save
    from mma82cli.training.recipe import recipe_from_dict

    torch.manual_seed(seed)
    module = module_of(kind)
    network = {"posec3d": "PoseC3D", "stgcn": "STGCN", "gc-tsm": "GCTSM"}[kind]
    more = {"limbs": [(i, i + 1) for i in range(16)]} if kind == "stgcn" else {}
    model = getattr(module, network)(num_classes=3, **SIZES[kind], **more)
    for name, tensor in model.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            tensor.normal_(0, 0.3)
        elif name.endswith("running_var") or tensor.ndim == 1 and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    last = model.fc if kind == "gc-tsm" else model.cls_head.fc_cls
    last.weight.data.normal_(0, 0.5)
    recipe = {"model": kind, **SIZES[kind], **SHAPES[kind]}
    recipe_from_dict(recipe)
    taxonomy = Taxonomy("three", LABELS, aliases=[[]] * 3).to_json()
    save(folder / f"{kind}-{seed}.safetensors", model.state_dict(), {"recipe": recipe, "taxonomy": taxonomy, "layout": "coco17"})
    return folder / f"{kind}-{seed}.safetensors"


CASES = [
    ("posec3d", "heatmaps (batch, 17, 8, 16, 16)", [(1, 17, 8, 16, 16), (3, 17, 8, 16, 16)]),
    ("stgcn", "joints (batch, persons, 16, 17, 3)", [(1, 1, 16, 17, 3), (3, 2, 16, 17, 3)]),
    ("gc-tsm", "frames (batch, 4, 3, 32, 32)", [(1, 4, 3, 32, 32), (3, 4, 3, 32, 32)]),
]


@pytest.mark.parametrize("kind, words, shapes", CASES)
def test_a_network_elsewhere_gives_the_same(run, tmp_path, kind, words, shapes):
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name)
    import onnx
    import onnxruntime
    import torch

    from mma82cli.models import load

    path = checkpoint(tmp_path, kind)
    result = run("infer", path, "--export", tmp_path / "model.onnx", env=QUICK)
    assert (result.code, result.out) == (0, "")
    assert result.err == f"mma82 infer: {tmp_path}/model.onnx: {words} -> logits (batch, 3)\n"
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    ours = load(path)
    for shape in shapes:
        given = torch.rand(shape)
        with torch.no_grad():
            expected = ours(given).numpy()
        got = session.run(["logits"], {words.split()[0]: given.numpy()})[0]
        assert abs(expected).max() > 0.1 and got == pytest.approx(expected, abs=1e-4)
    told = json.loads(session.get_modelmeta().custom_metadata_map["mma82"])
    assert told["recipe"]["model"] == kind and [label["name"] for label in told["taxonomy"]["labels"]] == LABELS
    onnx.checker.check_model(str(tmp_path / "model.onnx"))
    raw = (tmp_path / "model.onnx").read_bytes()
    assert b"site-packages" not in raw and str(ROOT).encode() not in raw  # torch notes lines of code beside each node
    assert sorted(os.listdir(tmp_path)) == sorted(["model.onnx", path.name])


@pytest.mark.parametrize(
    "more, said",
    [
        (["clips.jsonl"], "reads no records; found FILE"),
        (["--average", "another"], "reads no records; found --average"),
        (["--split", "test", "--topk", "3"], "reads no records; found --split and --topk"),
        (["--clips", "2"], "found --clips"),
        (["--device", "cpu"], "found --device"),
        (["-o", "other.jsonl", "--on-error", "skip"], "found --output and --on-error"),
    ],
)
def test_an_export_of_one_network_alone(run, tmp_path, more, said):
    result = run("infer", checkpoint(tmp_path, "stgcn"), *more, "--export", tmp_path / "model.onnx")
    assert (result.code, result.err.count("\n")) == (2, 1) and said in result.err and not (tmp_path / "model.onnx").exists()


def test_an_export_that_cannot_be_written(run, tmp_path):
    pytest.importorskip("onnxscript")
    result = run("infer", checkpoint(tmp_path, "stgcn"), "--export", tmp_path / "nowhere" / "model.onnx")
    assert (result.code, result.err) == (1, f"mma82 infer: {tmp_path}/nowhere/model.onnx: No such file or directory\n")


def test_without_onnx_it_says_what_to_install(tmp_path, monkeypatch):
    from mma82cli.models import export, load
    from mma82cli.records import WrongUsage
    from mma82cli.training.recipe import load_recipe

    monkeypatch.setattr(export, "find_spec", lambda name: None)
    with pytest.raises(WrongUsage, match=r"needs onnx and onnxscript; pip install 'mma82\[export\]'"):
        export.to_onnx(load(checkpoint(tmp_path, "stgcn")), load_recipe("stgcn"), {})


def test_a_detector_is_neither_exported_nor_averaged():
    from types import SimpleNamespace

    from mma82cli.models.export import input_of
    from mma82cli.records import WrongUsage
    from mma82cli.training.ensemble import together
    from mma82cli.training.recipe import load_recipe

    detector = load_recipe("adatad-tiny")
    with pytest.raises(WrongUsage, match="--export: a checkpoint of adatad; expected one of posec3d, stgcn, gc-tsm"):
        input_of(None, detector)
    members = [SimpleNamespace(recipe=recipe) for recipe in (load_recipe("stgcn"), detector)]
    with pytest.raises(WrongUsage, match="--average: second is a detector"):
        together(members, ["first", "second"])


def test_the_mean_of_several_checkpoints(run, tmp_path):
    paths = [checkpoint(tmp_path, "posec3d", 0), checkpoint(tmp_path, "posec3d", 1), checkpoint(tmp_path, "stgcn", 2)]
    rows = [*skeletons(5), {"id": "nobody", "layout": "coco17", "keypoints": [None]}]
    alone = [run("infer", path, stdin=rows, env=QUICK).records for path in paths]
    more = [part for path in paths[1:] for part in ("--average", path)]
    result = run("infer", paths[0], *more, stdin=rows, env=QUICK)
    assert result.code == 0, result.err
    assert [set(record) for record in result.records] == [set(record) for record in alone[0]]
    for got, *each in zip(result.records, *alone, strict=True):
        means = [sum(column) / 3 for column in zip(*(one["scores"] for one in each), strict=True)]
        assert got["scores"] == pytest.approx(means, abs=1e-6)
        assert (got["scores"] == each[0]["scores"]) == (got["id"] == "nobody")  # for whom all say the same
    assert result.records[-1]["warnings"] == ["no joints: scores are uniform"]
    best = run("infer", paths[0], *more, "--topk", "1", stdin=rows[:1], env=QUICK).records[0]
    assert best["topk"][0][1] == pytest.approx(max(result.records[0]["scores"]), abs=1e-6)


def test_options_of_one_network_reach_it_among_others(run, tmp_path):
    posec3d, stgcn = checkpoint(tmp_path, "posec3d"), checkpoint(tmp_path, "stgcn")
    rows = skeletons(1)
    asked = ["--sampling", "pyskl", "--clips", "3"]
    alone = [run("infer", posec3d, *asked, stdin=rows, env=QUICK), run("infer", stgcn, *asked[2:], stdin=rows, env=QUICK)]
    both = run("infer", stgcn, "--average", posec3d, *asked, stdin=rows, env=QUICK)
    means = [sum(pair) / 2 for pair in zip(*(one.records[0]["scores"] for one in alone), strict=True)]
    assert both.records[0]["scores"] == pytest.approx(means, abs=1e-6)
    wrong = run("infer", stgcn, *asked, stdin=rows)
    assert (wrong.code, wrong.err) == (2, "mma82 infer: --sampling: a checkpoint of stgcn, whose recipes have no 'sampling'\n")


def test_checkpoints_of_other_labels_are_no_ensemble(run, tmp_path):
    (tmp_path / "other").mkdir()
    first, other = checkpoint(tmp_path, "posec3d"), tmp_path / "other.safetensors"
    first_bytes = first.read_bytes()
    assert first_bytes.count(b"waving") == 1
    other.write_bytes(first_bytes.replace(b"waving", b"wading"))
    result = run("infer", first, "--average", other, stdin=skeletons(2))
    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    assert "a checkpoint to average is of taxonomy three (3 labels); expected the first one's" in result.err
