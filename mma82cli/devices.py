"""Numbers onto the device that computes."""

from __future__ import annotations

import torch
from torch import Tensor


def upload(values, device, dtype: torch.dtype | None = None) -> Tensor:
    """An array, list or tensor as a tensor on `device`, without waiting for what a GPU still has to do: torch's own ways
    wait at every small array, which costs more than all of them."""
    return torch.as_tensor(values).to(device, dtype, non_blocking=True)
