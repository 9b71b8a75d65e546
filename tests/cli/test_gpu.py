"""Training and inference on a GPU, for every family: as on a CPU, but for rounding."""

import subprocess

import numpy as np
import pytest
from conftest import ROOT

pytestmark = pytest.mark.skipif("not __import__('torch').cuda.is_available()", reason="no GPU")

KINDS = {  # recipe: the command that trains it, the kind of synthetic records, what makes it small
    "posec3d-tiny": ("train-rec", "skeleton", ()),
    "posec3d": ("train-rec", "skeleton", ("--set", "clips=2")),
    "stgcn": ("train-rec", "skeleton", ()),
    "gc-tsm-tiny": ("train-rec", "video", ()),
    "adatad-tiny": ("train-det", "detection", ()),
}


@pytest.fixture(scope="module")
def records(run, tmp_path_factory):
    """records(kind) -> a file of clips with splits."""
    folder, made = tmp_path_factory.mktemp("data"), {}

    def make(kind: str):
        if kind not in made:
            place = folder / kind
            place.mkdir()
            film = () if kind == "skeleton" else ("--videos", place)
            wanted = ("--kind", kind, "--clips", "48", "--subjects", "12", "--labels", "Waving,Nodding,Swing body")
            whole = run("synth", *wanted, *film)
            assert whole.code == 0, whole.err
            split = run("make-splits", "--ratio", "3:1:1", stdin=whole.out)
            assert split.code == 0, split.err
            made[kind] = place / "clips.jsonl"
            made[kind].write_text(split.out)
        return made[kind]

    return make


@pytest.fixture(scope="module", params=KINDS)
def trained(request, run, records, tmp_path_factory):
    """(recipe, folder, its records, the lines of training), two epochs on the GPU."""
    command, kind, changes = KINDS[request.param]
    folder, data = tmp_path_factory.mktemp(request.param) / "run", records(kind)
    options = ("--device", "cuda", "--set", "epochs=2", "--set", "validate_every=1", *changes)
    result = run(command, "--recipe", request.param, *options, "--out", folder, data, cwd=data.parent)
    assert result.code == 0, result.err
    return request.param, folder, data, result.records


def test_trains_on_a_gpu(trained):
    _, folder, _, lines = trained
    assert [line["epoch"] for line in lines] == [1, 2]
    assert all(np.isfinite(line["loss"]) for line in lines)
    assert (folder / "best.safetensors").exists()


def test_answers_of_both_devices_are_near(trained, run):
    name, folder, data, _ = trained
    found = []
    for device in ("cuda", "cpu"):
        result = run("infer", folder, "--device", device, "--precision", "float32", data, cwd=data.parent)
        assert result.code == 0, result.err
        if name == "adatad-tiny":
            scores = [[each["score"] for each in record["predictions"][:5]] for record in result.records]
        else:
            scores = [record["scores"] for record in result.records]
        found.append(np.concatenate(scores))
    np.testing.assert_allclose(*found, atol=2e-4)


@pytest.mark.parametrize("name", ["posec3d-tiny", "stgcn"])
def test_a_resumed_run_is_the_same_to_the_bit(name, run, records, tmp_path):
    """The second run is killed by its reader when it has told of the first epoch."""
    data = records("skeleton")
    options = ("train-rec", "--recipe", name, "--device", "cuda", "--deterministic", "--set", "epochs=4", data)
    whole = run(*options, "--out", tmp_path / "whole")
    assert whole.code == 0, whole.err
    command = [ROOT / "bin" / "mma82", *map(str, options), "--out", tmp_path / "parts"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parts:
        parts.stdout.readline()
        parts.kill()
    rest = run(*options, "--out", tmp_path / "parts", "--resume")
    assert rest.code == 0, rest.err
    assert 0 < len(rest.records) < 4
    assert rest.records == whole.records[-len(rest.records) :]
    assert (tmp_path / "whole" / "last.safetensors").read_bytes() == (tmp_path / "parts" / "last.safetensors").read_bytes()


def test_recorded_passes_are_those_that_are_not(run, records, tmp_path):
    """A deterministic run launches each kernel by itself."""
    data = records("skeleton")
    options = ("train-rec", "--recipe", "stgcn", "--device", "cuda", "--precision", "float32", "--set", "epochs=5", data)
    recorded, alone = (run(*options, "--out", tmp_path / name, *more) for name, more in (("a", ()), ("b", ("--deterministic",))))
    assert recorded.code == alone.code == 0, recorded.err + alone.err
    losses = ([line["loss"] for line in result.records] for result in (recorded, alone))
    np.testing.assert_allclose(*losses, rtol=0.05)
