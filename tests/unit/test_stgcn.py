"""ST-GCN: the body's tree, its streams, persons, folding, and checkpoints."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli import models
from mma82cli.models import weights
from mma82cli.models.stgcn import STGCN, Streams, body_graphs, fold, tree
from mma82cli.records import DataError
from mma82cli.skeleton import resampling
from mma82cli.skeleton.layouts import load_layout

SMALL = {"channels": (12, 24), "dilations": (1, 2), "num_classes": 5}
LIMBS = {"none": [], "chain": [(0, 1), (1, 2), (2, 3), (3, 4)], "ring and two alone": [(0, 1), (1, 2), (2, 0)]}


def joints(batch=3, persons=1, frames=8, count=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(batch, persons, frames, count, 3, generator=generator) * 2 - 1
    points[..., 2] = points[..., 2].abs() + 0.01
    return points


def trained(limbs=LIMBS["chain"], count=5, **sizes):
    """A network whose batch norms have seen something."""
    torch.manual_seed(0)
    model = STGCN(limbs=limbs, joints=count, **{**SMALL, **sizes}).train()
    for seed in range(3):
        model(joints(count=count, seed=seed))
    return model.eval()


def test_the_tree_starts_in_the_middle_and_reaches_every_part():
    parents, depths = tree(5, LIMBS["chain"])
    assert parents == [1, 2, 2, 2, 3] and depths == [2, 1, 0, 1, 2]
    parents, depths = tree(5, LIMBS["ring and two alone"])
    assert parents == [0, 0, 0, 3, 4] and depths == [0, 1, 1, 0, 0]
    assert tree(3, []) == ([0, 1, 2], [0, 0, 0])


@pytest.mark.parametrize("name", ["coco17", "jhmdb15"])
def test_graphs_of_the_layouts_hold_every_limb_both_ways(name):
    layout = load_layout(name)
    graphs = body_graphs(len(layout), layout.limbs)
    edges = {(a, b) for graph in graphs[1:] for a, b in graph.nonzero().tolist()}
    assert edges == {pair for a, b in layout.limbs for pair in ((a, b), (b, a))}
    assert set(graphs.sum(2).unique().tolist()) <= {0.0, 1.0}


def test_bones_and_motion_are_nothing_where_an_end_is_missing():
    points = joints(1)[:, 0]
    points[0, 3, 1] = 0
    streams = Streams(tree(5, LIMBS["chain"])[0])(points)[0].permute(1, 2, 0)  # (T, V, 9)
    assert (streams[3, 1] == 0).all()
    assert (streams[3, 0, 3:5] == 0).all() and (streams[2, 0, 3:5] != 0).all(), "joint 0 hangs on joint 1"
    assert (streams[4, 1, 5:] == 0).all() and (streams[5, 1, 5:] != 0).all() and (streams[0, :, 5:] == 0).all()
    torch.testing.assert_close(streams[5, 1, 3:5], points[0, 5, 1, :2] - points[0, 5, 2, :2])
    torch.testing.assert_close(streams[5, 1, 5:7], points[0, 5, 1, :2] - points[0, 4, 1, :2])


@pytest.mark.parametrize("limbs", LIMBS.values(), ids=list(LIMBS))
def test_folding_changes_nothing(limbs):
    model = trained(limbs)
    with torch.inference_mode():
        logits, folded = model(joints()), fold(model)(joints())
    assert logits.shape == (3, 5) and logits.std() > 1e-3
    torch.testing.assert_close(folded, logits, rtol=1e-4, atol=1e-6)


def test_persons_have_no_order_and_the_absent_no_say():
    model, pair = trained(), joints(2, persons=2)
    with torch.inference_mode():
        both, other_way = model(pair), model(pair.flip(1))
        alone = model(pair[:, :1])
        with_nobody = model(torch.cat((pair[:, :1], torch.zeros_like(pair)), 1))
    torch.testing.assert_close(both, other_way)
    torch.testing.assert_close(with_nobody, alone)
    assert (both - alone).abs().max() > 1e-4


def test_a_checkpoint_says_its_sizes(tmp_path):
    from safetensors.torch import save_file

    model = trained(channels=(12, 12, 24))
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "w.safetensors")
    again = models.load(tmp_path / "w.safetensors")
    assert again.dims == model.dims
    with torch.inference_mode():
        assert torch.equal(again(joints()), model(joints()))
    state = weights.read(tmp_path / "w.safetensors").state
    state.pop("cls_head.fc_cls.weight")
    with pytest.raises(DataError, match="not an ST-GCN"):
        models.build(weights.Checkpoint(state))


@given(st.integers(1, 90), st.integers(1, 40), st.integers(1, 12), st.floats(0, 0.95), st.integers(0, 99))
@settings(max_examples=60)
def test_moments_lie_in_the_clip_and_never_go_back(frames, length, clips, time_crop, seed):
    drawn = resampling.train_moments(np.array([frames, 7]), length, time_crop, np.random.default_rng(seed))
    tested = resampling.test_moments(np.array([frames]), length, clips, time_crop)
    assert drawn.shape == (2, length) and tested.shape == (clips, length)
    for moments in (drawn[0], *tested):
        assert moments.min() >= 0 and moments.max() <= frames - 1 + 1e-4
        assert (np.diff(moments) >= 0).all()
    if length > 1:
        np.testing.assert_allclose(tested[0, [0, -1]], [0, frames - 1], atol=1e-4)


def test_between_two_frames_a_missing_joint_is_where_the_other_frame_has_it():
    before, after = joints(1), joints(1, seed=1)
    before[0, 0, 0, 1], after[0, 0, 0, 2], after[0, 0, 0, 1, 2] = 0, 0, 0.5
    half = resampling.between(before, after, torch.full((1, 8), 0.5))[0, 0, 0]
    torch.testing.assert_close(half[0], (before[0, 0, 0, 0] + after[0, 0, 0, 0]) / 2)
    assert torch.equal(half[1], after[0, 0, 0, 1]) and torch.equal(half[2], before[0, 0, 0, 2])


def test_joints_relative_to_their_box_know_no_place_and_no_size():
    points = joints(2, persons=2)
    points[0, 0, 3, 1] = 0
    there = resampling.relative(points)
    assert (there[0, 0, 3, 1] == 0).all()
    assert there[..., :2].abs().amax((1, 2, 3, 4)) == pytest.approx([1, 1])
    moved = torch.where(points[..., 2:] > 0, points * torch.tensor([70.0, 70.0, 1.0]) + torch.tensor([400.0, 300.0, 0.0]), 0.0)
    torch.testing.assert_close(resampling.relative(moved), there, atol=1e-4, rtol=1e-4)


def test_a_steadied_clip_knows_no_camera_and_keeps_what_a_limb_does():
    still = joints(2)[:, :, :1].expand(-1, -1, 20, -1, -1).clone()
    still[..., 2] = 1
    still[:, :, :, 4, 1] += torch.linspace(0, 3, 20)  # one limb of five
    still[0, 0, 5:, 2] = 0  # a joint that is lost
    walk = torch.randn(2, 1, 20, 1, 2, generator=torch.Generator().manual_seed(0)).cumsum(2)
    there = still[..., 2:] > 0
    filmed = torch.where(there, torch.cat((still[..., :2] + walk, still[..., 2:]), -1), 0.0)
    found = resampling.steadied(filmed)
    assert torch.equal(found[..., 2:], still[..., 2:]) and (found[~there[..., 0]] == 0).all()
    offset = (found - still)[..., :2][:, :1, :1, :1]  # where the camera mostly was
    torch.testing.assert_close((found - still)[..., :2][there[..., 0]], offset.expand_as(found[..., :2])[there[..., 0]])
    torch.testing.assert_close(resampling.steadied(still), still)
    assert torch.equal(resampling.steadied(torch.zeros(1, 1, 4, 5, 3)), torch.zeros(1, 1, 4, 5, 3))


def test_a_nearer_camera_hides_what_lies_outside_its_part_and_nothing_else():
    points = joints(3, persons=2)
    points[:, 0, 0, 0] = 0
    side, place = torch.tensor([[0.5, 0.7], [0.5, 0.7], [1e-4, 1e-4]]), torch.tensor([[0.0, 1.0]] * 3)
    near = resampling.cropped(points, side, place, torch.tensor([True, False, True]))
    assert torch.equal(near[1], points[1]) and torch.equal(near[2], points[2]), "not asked for; and nothing would be left"
    there = points[0, ..., 2] > 0
    xy = points[0, ..., :2]
    low, high = xy[there].amin(0), xy[there].amax(0)
    inside = there & (xy[..., 0] < low[0] + 0.5 * (high - low)[0]) & (xy[..., 1] > low[1] + 0.3 * (high - low)[1])
    assert 0 < inside.sum() < there.sum()
    assert torch.equal(near[0], points[0] * inside[..., None])


def test_a_mirror_and_a_turn_undo_themselves():
    points, order = joints(2), [1, 0, 2, 4, 3]
    every = torch.ones(2, dtype=torch.bool)
    twice = resampling.mirrored(resampling.mirrored(points, order, every), order, every)
    torch.testing.assert_close(twice, points)
    angle, ones = torch.tensor([0.3, -1.0]), torch.ones(2, 2)
    torch.testing.assert_close(resampling.turned(resampling.turned(points, angle, ones), -angle, ones), points)
