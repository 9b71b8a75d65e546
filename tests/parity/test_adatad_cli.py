"""OpenTAD's detector through `mma82 infer`: its file as it is, under the recipe of its sizes."""

import cv2
import numpy as np
import pytest
import torch
from conftest import write_film

from mma82cli.detection import proposals
from mma82cli.models import load
from mma82cli.models.adatad import level_masks
from mma82cli.rgb.pictures import cut
from mma82cli.training.recipe import changed, load_recipe


@pytest.fixture(scope="module")
def peer(shared, tmp_path_factory):
    """A folder with peer.pth, peer.toml and film.avi."""
    path = shared / "goldens" / "detection" / "adatad_tiny_a205_state.npz"
    if not path.exists():
        pytest.skip(f"no {path.name}")
    folder = tmp_path_factory.mktemp("peer")
    state = {f"module.{key}": torch.from_numpy(value) for key, value in np.load(path).items()}
    torch.save({"state_dict_ema": state}, folder / "peer.pth")
    sizes = {"heads": 2, "dim": 64, "window": 64, "stride": 1, "size": 32, "image_size": 32, "short_side": 32, "least_score": 0.0}
    (folder / "peer.toml").write_text(changed(load_recipe("adatad-s"), **sizes, topk=50, vote=0.0).to_toml())
    rng = np.random.default_rng(0)
    write_film(folder / "film.avi", (rng.integers(0, 256, (32, 48, 3), np.uint8) for _ in range(40)), letters="FFV1")
    return folder


def test_a_peers_file_gives_what_its_padded_window_gives(run, peer):
    film, recipe = [{"video": "film.avi"}], peer / "peer.toml"
    found = run("infer", peer / "peer.pth", "--recipe", recipe, "--raw", "--precision", "float32", "--root", peer, stdin=film)
    assert found.code == 0, found.err
    video = cv2.VideoCapture(str(peer / "film.avi"))
    pictures = cut([video.read()[1] for _ in range(40)], (8, 0, 32, 32), 32)
    padded = torch.from_numpy(pictures[np.minimum(np.arange(64), 39)]).permute(3, 0, 1, 2)[None]
    mask = torch.arange(64)[None] < 40
    model = load(peer / "peer.pth", heads=2)
    with torch.inference_mode():
        segments, scores = proposals.decode(model(padded, mask), level_masks(mask, 6))[0]
    best = proposals.best(segments, scores, 0.0, 8000)
    for got, (start, end), score in zip(found.records[0]["predictions"][:50], best.segments[:50], best.scores[:50], strict=True):
        assert (got["start"], got["end"]) == pytest.approx(np.clip([start / 10, end / 10], 0, 4.0).tolist(), abs=1e-4)
        assert got["score"] == pytest.approx(score, abs=1e-5)


def test_a_peers_file_under_another_recipe_is_refused(run, peer):
    refused = run("infer", peer / "peer.pth", "--root", peer, stdin=[{"video": "film.avi"}])
    assert refused.code == 1 and refused.err.count("\n") == 1 and "64 channels can't go to 12 heads" in refused.err
