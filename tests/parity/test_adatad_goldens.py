"""VideoMAE and AdaTAD against what the peers' own code computed on the same weights: four spellings of one network, and
a whole detector from frames to proposals."""

import numpy as np
import pytest
import torch

from mma82cli.detection import losses, proposals, targets
from mma82cli.models import load
from mma82cli.models.adatad import level_masks

CLOSE = 1e-4


@pytest.fixture(scope="module")
def golden(shared):
    """golden(name) -> its arrays as tensors."""

    def read(name):
        path = shared / "goldens" / "detection" / f"{name}.npz"
        if not path.exists():
            pytest.skip(f"no {path.name}")
        return {key: torch.from_numpy(value) for key, value in np.load(path).items()}

    return read


def checkpoint(folder, state, wrap="state_dict"):
    path = folder / "peer.pth"
    torch.save({wrap: state} if wrap else state, path)
    return path


SPELLINGS = [  # file, wrapped in, whose input and output
    ("videomae_tiny_state", None, "videomae_tiny_io"),
    ("videomae_tiny_meanpool_state", None, "videomae_tiny_meanpool_io"),
    ("videomae_tiny_hfhub_state", None, "videomae_tiny_meanpool_io"),
    ("videomae_tiny_official_state", "module", "videomae_tiny_meanpool_io"),
    ("videomae_tiny_mmaction2_state", "state_dict", "videomae_tiny_meanpool_io"),
]


@pytest.mark.parametrize("file,wrap,io", SPELLINGS)
@pytest.mark.parametrize("recipe", ["videomae", None])
def test_videomae_spellings(golden, tmp_path, file, wrap, io, recipe):
    model = load(checkpoint(tmp_path, golden(file), wrap), recipe, heads=2, image_size=32)
    given = golden(io)
    with torch.no_grad():
        tokens = model(given["input"].transpose(1, 2))  # (B, T, 3, H, W) -> (B, 3, T, H, W)
    torch.testing.assert_close(tokens, given["last_hidden_state"], atol=CLOSE, rtol=0)
    if model.num_classes:
        want = golden("videomae_tiny_official_io")["logits"]
        torch.testing.assert_close(model.logits(given["input"].transpose(1, 2)), want, atol=CLOSE, rtol=0)


@pytest.fixture(scope="module")
def detector(golden, tmp_path_factory):
    state = {f"module.{key}": value for key, value in golden("adatad_tiny_a205_state").items()}  # as distributed runs save
    return load(checkpoint(tmp_path_factory.mktemp("peer"), state, "state_dict_ema"), heads=2)


@pytest.fixture(scope="module")
def found(detector, golden):
    given = golden("adatad_tiny_input")
    with torch.no_grad():
        return detector(given["frames"][:, 0], given["masks"]), level_masks(given["masks"], 6)


def test_features_and_logits(detector, golden, found):
    given, want = golden("adatad_tiny_input"), golden("adatad_tiny_a205_out")
    clips = given["frames"][:, 0].unflatten(2, (4, 16)).transpose(1, 2).flatten(0, 1)
    with torch.no_grad():
        features = detector.features(clips, [4, 4], [64, 64])
    torch.testing.assert_close(features, want["backbone_feats"], atol=CLOSE, rtol=0)
    levels, masks = found
    for i, (logits, offsets, _) in enumerate(levels):
        torch.testing.assert_close(logits, want[f"cls{i}"], atol=CLOSE, rtol=0)
        torch.testing.assert_close(offsets, want[f"reg{i}"], atol=CLOSE, rtol=0)
        assert torch.equal(masks[i], want[f"fpnmask{i}"])
    torch.testing.assert_close(torch.cat([level[2] for level in levels]), want["points"])


def test_targets_and_losses(golden, found):
    given, want = golden("adatad_tiny_input"), golden("adatad_tiny_a205_out")
    levels, masks = found
    both = [targets.assign(want["points"], given[f"gt{i}"], given[f"lab{i}"], 82) for i in range(2)]
    classes, distances = (torch.stack(parts) for parts in zip(*both, strict=True))
    torch.testing.assert_close(classes, want["gt_cls"])
    has = classes.sum(2) > 0
    torch.testing.assert_close(distances[has], want["gt_reg"][has])
    count = losses.positives(masks, classes).sum()
    found = [loss / count for loss in losses.detection_losses(levels, masks, classes, distances)]
    assert found[0].item() == pytest.approx(want["eval_cls_loss"].item(), abs=CLOSE)
    assert found[1].item() == pytest.approx(want["eval_reg_loss"].item(), abs=CLOSE)


def test_proposals(golden, found):
    want = golden("adatad_tiny_a205_out")
    for i, (segments, scores) in enumerate(proposals.decode(*found)):
        torch.testing.assert_close(segments, want[f"proposals{i}"], atol=CLOSE, rtol=0)
        torch.testing.assert_close(scores, want[f"scores{i}"], atol=CLOSE, rtol=0)
