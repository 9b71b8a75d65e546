"""Numbers onto the device that computes."""

from __future__ import annotations

import threading

import numpy as np
import torch
from torch import Tensor

# Held while a GPU's work is recorded (`training.replays`), when CUDA bears no other thread's calls, and by such a thread while
# it makes some.
ALONE = threading.Lock()


def upload(values, device, dtype: torch.dtype | None = None) -> Tensor:
    """An array, list or tensor as a tensor on `device`, without waiting for what a GPU still has to do: torch's own ways
    wait at every small array, which costs more than all of them."""
    return torch.as_tensor(values).to(device, dtype, non_blocking=True)


def onto(values: np.ndarray, device: torch.device) -> Tensor:
    """An array as a tensor on `device`, from any thread: on its way there, where that is a GPU."""
    if device.type != "cuda":
        return torch.from_numpy(values)
    with ALONE:
        pinned = torch.empty(values.shape, dtype=torch.from_numpy(values).dtype, pin_memory=True)
    np.copyto(pinned.numpy(), values)  # by this thread alone: torch would call all cores to it
    with ALONE:
        return pinned.to(device, non_blocking=True)
