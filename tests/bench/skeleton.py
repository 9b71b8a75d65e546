"""How much faster heatmaps and PoseC3D are than plain implementations, in the same run: python tests/bench/skeleton.py [ROUNDS]

One thread, CPU time, the two sides taking turns; the ratio is that of the medians.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

from plain_skeleton import PlainPoseC3D, plain_heatmaps  # noqa: E402

from mma82cli.models.posec3d import PoseC3D, fold  # noqa: E402
from mma82cli.skeleton import HeatmapBuffer, heatmaps  # noqa: E402


def seconds(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(name: str, clips: tuple[int, int], plain, ours, rounds: int) -> None:
    """Prints clips a second of `plain` and `ours`, which do `clips` (plain, ours) clips a call, and their ratio."""
    plain(), ours()
    took = [(seconds(plain) / clips[0], seconds(ours) / clips[1]) for _ in range(rounds)]
    a, b = (statistics.median(side) for side in zip(*took, strict=True))
    print(f"{name:32} {1 / a:10.2f} {1 / b:10.2f} {a / b:7.2f}x", flush=True)


def joints(batch: int, size: int) -> torch.Tensor:
    """Clips of 32 frames of a body that fills the picture: (B, 32, 17, 3)."""
    generator = torch.Generator().manual_seed(0)
    walk = torch.randn(batch, 32, 17, 2, generator=generator).cumsum(1) * 0.3
    places = size * (0.15 + 0.7 * torch.rand(batch, 1, 17, 2, generator=generator)) + walk
    return torch.cat((places, torch.ones(batch, 32, 17, 1)), -1)


def train_step(model, x, labels, precision):
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        loss = torch.nn.functional.cross_entropy(model(x).float(), labels)
    model.zero_grad()
    loss.backward()


def main(rounds: int = 3, batch: int = 4) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{'clips per CPU second':32} {'plain':>10} {'ours':>10} {'ratio':>8}")
    for size in (64, 56):
        for last in (False, True):
            compare_heatmaps(size, last, rounds)
    for precision in (torch.float32, torch.bfloat16):
        compare_models(precision, rounds, batch)


def compare_heatmaps(size: int, joints_last: bool, rounds: int) -> None:
    """Drawing into a kept buffer, in either order of memory, against a loop over joints."""
    points, buffer = joints(8, size), HeatmapBuffer()
    name = f"heatmaps {size}x{size}" + (", joints last" if joints_last else "")
    compare(
        name, (4, 160),
        lambda: [plain_heatmaps(clip[None].numpy(), (size, size)) for clip in points[:4]],
        lambda: [heatmaps(points, (size, size), out=buffer, joints_last=joints_last) for _ in range(20)], rounds,
    )  # fmt: skip


def compare_models(precision: torch.dtype, rounds: int, batch: int) -> None:
    """The forward pass, folded, and a training step in `precision`, against Conv3d in float32."""
    plain, ours = PlainPoseC3D(), PoseC3D(dropout=0.0)
    plain.load_state_dict(ours.state_dict())
    plain.eval(), ours.eval()
    name = str(precision).removeprefix("torch.")
    maps = heatmaps(joints(batch, 64), (64, 64))
    plain_maps, fast, fast_maps = maps.contiguous(), fold(ours).to(precision), maps.to(precision)
    with torch.inference_mode():
        compare(f"forward 32x64x64 {name}", (batch, batch), lambda: plain(plain_maps), lambda: fast(fast_maps), rounds)
    plain.train(), ours.train()
    x, labels = heatmaps(joints(batch, 56), (56, 56)), torch.arange(batch)
    plain_x = x.contiguous()
    compare(
        f"forward+backward 32x56x56 {name}", (batch, batch),
        lambda: train_step(plain, plain_x, labels, torch.float32),
        lambda: train_step(ours, x, labels, precision), rounds,
    )  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
