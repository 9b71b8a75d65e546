"""What is recorded of a network and played again; the recorder of a GPU is stood in for."""

import numpy as np
import pytest
import torch

from mma82cli.models.posec3d import PoseC3D
from mma82cli.models.videomae import VideoMAE
from mma82cli.training import replays
from mma82cli.training.replays import Replays
from mma82cli.training.team import Team

CPU = torch.device("cpu")
DIMS = {"in_channels": 3, "base_channels": 4, "stage_blocks": (1, 1), "temporal_strides": (1, 1), "num_classes": 5}


@pytest.fixture()
def network():
    torch.manual_seed(0)
    return PoseC3D(**DIMS).train()


@pytest.fixture()
def played(monkeypatch):
    """Recordings are of the same work; the list grows with each."""
    made = []

    def record(part, samples, allow_unused_input, pool):
        for _ in range(3):  # as torch warms up
            part.work(*samples)
        made.append(samples)
        return lambda *tensors: part.work(*tensors)

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", record)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 1))
    return made


def recording(passes=0):
    found = Replays(CPU, torch.float32, passes)
    found.records = True
    return found


def test_what_comes_often_is_recorded_once_and_statistics_stay(network, played):
    x, found = torch.rand(2, 3, 4, 16, 16), recording()
    for i in range(replays.AFTER - 1):
        found(network, network.pooled, x)
        assert not played, i
    before = [buffer.clone() for buffer in network.buffers()]
    with torch.no_grad():
        network.eval()(x)
    found.seen[(x.shape,)] = replays.AFTER - 1
    network.train()
    found._recorded(network, network.pooled, (x,))
    for one, other in zip(network.buffers(), before, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    found(network, network.pooled, x), found(network, network.pooled, x)
    assert len(played) == 2
    found(network, network.pooled, torch.rand(1, 3, 4, 16, 16))
    assert len(played) == 2


def test_what_a_recording_reads_stays_where_it_is(played):
    """Of a VideoMAE the resized table of positions: it is made anew when the one of the checkpoint was written to."""
    network = VideoMAE(dim=16, depth=1, heads=2, hidden=32, image_size=32).eval()
    x, found = torch.rand(1, 3, 16, 16, 16), recording()
    found(network, network.forward, x)
    kept = network._kept
    for _ in range(replays.AFTER):
        found(network, network.forward, x)
    assert len(played) == 1 and network._kept is kept


def test_nothing_is_recorded_on_a_cpu():
    assert not Replays(CPU, torch.float32).records


def test_a_recording_that_fails_is_done_without(network, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", fails)
    x, found = torch.rand(2, 3, 4, 16, 16), recording()
    values = [found(network, network.pooled, x) for _ in range(replays.AFTER + 2)]
    assert not found.records
    torch.testing.assert_close(values[-1], values[0])


def test_what_is_compiled_is_so_for_the_recording_alone(network, played, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda work, dynamic: compiled.append(work) or work)
    found = recording(passes=replays.COMPILED_FROM)
    for _ in range(replays.AFTER):
        found(network, network.pooled, torch.rand(2, 3, 4, 16, 16))
    assert len(compiled) == 1 and len(played) == 1
    assert "forward" not in vars(network.backbone)


def test_running_statistics_are_those_of_the_first_part(network):
    """Whoever does the other parts of a step. (How many threads add up is told by the last bits: here it is one.)"""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    parts = [torch.rand(2, 3, 4, 16, 16) for _ in range(5)]

    def work(model, scratch, x):
        loss = model.pooled(x).square().sum()
        loss.backward()
        return loss.detach()

    found = []
    for workers in (1, 2):
        model = PoseC3D(**DIMS).train()
        model.load_state_dict(network.state_dict())
        with Team(model, workers) as team:
            team.gradients(parts, work)
        found.append(model)
    alone = PoseC3D(**DIMS).train()
    alone.load_state_dict(network.state_dict())
    alone.pooled(parts[0])
    for model in found:
        for one, other in zip(model.buffers(), alone.buffers(), strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())
    torch.set_num_threads(threads)
