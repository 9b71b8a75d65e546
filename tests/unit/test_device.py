"""What the cores of a CPU share."""

import threading

import pytest
import torch

from mma82cli.training.device import Shared, one_core_each


@pytest.fixture
def cores(monkeypatch):
    here = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    yield
    torch.set_num_threads(here)


@pytest.mark.parametrize("rows, parts", [(0, 1), (1, 1), (2, 1), (3, 3), (7, 3), (12, 3)])
def test_rows_are_shared_by_cores_where_there_are_enough_and_come_back_in_order(cores, rows, parts):
    seen = []

    def work(batch):
        seen.append((threading.current_thread(), len(batch)))
        return batch * 2 + weight

    weight = torch.ones(4, requires_grad=True)
    batch = torch.arange(4.0 * rows).view(rows, 4)
    found = Shared(torch.device("cpu"))(work, batch)
    assert torch.equal(found, batch * 2 + 1) and not found.requires_grad
    assert len(seen) == parts and sum(size for _, size in seen) == rows
    assert all((thread is threading.main_thread()) == (parts == 1) for thread, _ in seen)


def test_what_a_core_raises_is_raised():
    with one_core_each(2) as pool, pytest.raises(ZeroDivisionError):
        list(pool.map(lambda x: 1 / x, [1, 0]))
