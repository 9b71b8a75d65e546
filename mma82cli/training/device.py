"""Which device and precision a run computes in, and how memory is kept on a CPU."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mma82cli.records import WrongUsage

if TYPE_CHECKING:
    from mma82cli.training.recipe import Recipe

ACTIVATIONS = 48  # numbers that a residual network keeps for the backward pass for each that its first layer gives
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h


def choose_device(name: str = "auto", index: int = 0) -> torch.device:
    """`auto` is CUDA where there is some; `index` says which. Raises WrongUsage where what is asked for is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise WrongUsage("--device cuda: torch sees no CUDA device; expected cpu or auto")
    if name == "cpu":
        return torch.device("cpu")
    torch.cuda.set_device(index)
    torch.backends.cudnn.benchmark = True  # the same few shapes come again and again
    return torch.device("cuda", index)  # with its number: every thread begins with a device of its own, the first


def choose_precision(name: str, device: torch.device, gradients: bool = False) -> torch.dtype:
    """`auto` is bfloat16 where the device is fast at it, else float32: a GPU of 2020 and later; a CPU with AMX, and without
    `gradients` one with AVX512-BF16 too, where large networks take half of the time, but training small ones gains little.
    """
    if name == "auto":
        if device.type == "cuda":
            fast = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            fast = _has("amx_tile") or (not gradients and _has("avx512_bf16"))
        name = "bf16" if fast else "float32"
    return {"bf16": torch.bfloat16, "float32": torch.float32}[name]


def _has(instructions: str) -> bool:
    """Whether the CPU has these; False where torch can't tell."""
    ask = getattr(torch.cpu, f"_is_{instructions}_supported", None)
    try:
        return bool(ask()) if ask else False
    except RuntimeError:
        return False


def joins(recipe: Recipe, first: int, device: torch.device, dtype: torch.dtype) -> int:
    """How many micro-batches go through a residual network at once in training, whose first layer gives `first` numbers a
    clip: as many as half of a GPU's memory holds, whatever is free of it, for the same numbers in every run. 1 on a CPU."""
    if device.type != "cuda":
        return 1
    each = recipe.micro_batch * first * ACTIVATIONS * dtype.itemsize
    return max(1, torch.cuda.get_device_properties(device).total_memory // 2 // each)


def autocast(device: torch.device, dtype: torch.dtype):
    """The context in which a forward pass is run."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32, cache_enabled=True)


def one_core_each(threads: int) -> ThreadPoolExecutor:
    """Threads that compute on a core each. Threads inside a layer wait for one another at its end: that costs more than it
    gains where layers are small, and several times as much where cores are busy."""
    return ThreadPoolExecutor(threads, initializer=_one_core, initargs=(threads,))


def _one_core(threads: int) -> None:
    if threads > 1:
        torch.set_num_threads(1)


class Shared:
    """shared(work, batch) is `work(batch)`, a tensor of as many rows, without gradients. A CPU's cores take a part of the rows
    each, where there are enough."""

    def __init__(self, device: torch.device):
        self.threads = torch.get_num_threads() if device.type == "cpu" else 1
        self.pool = one_core_each(self.threads) if self.threads > 1 else None

    def __call__(self, work: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
        """See the class."""
        work = torch.inference_mode()(work)
        if self.pool is None or len(batch) < self.threads:
            return work(batch)
        return torch.cat(list(self.pool.map(work, batch.chunk(self.threads))))


def keep_freed_memory() -> None:
    """Lets glibc keep freed memory instead of giving it back to the system; elsewhere nothing happens.

    Activations are megabytes that come and go in every step. Fresh pages for them cost as much as the arithmetic:
    a ReLU over 16 MB takes 30 ms on new pages and 3 ms on old ones.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        for key, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 64 << 20)):
            library.mallopt(key, value)


def make_deterministic(device: torch.device) -> None:
    """The same numbers in every run on this device, at some cost in time on a GPU."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = False
