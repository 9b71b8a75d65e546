"""How fast merge-annotations is beside parsing its input with orjson: `python tests/bench/merge.py [VIDEOS]`."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

ROOT = Path(__file__).resolve().parent.parent.parent


def write(path: Path, videos: int, instances: int) -> int:
    """`videos` videos of `instances` instances by three annotators each; returns the number of lines."""
    random.seed(0)
    labels = ("Nodding", "Shaking head", "Bowing head", "Turning head", "Tilting head")
    count = 0
    with open(path, "wb") as out:
        for v in range(videos):
            for i in range(instances):
                start, length = 1 + 2 * i + random.random(), 0.8 + random.random()
                for annotator in ("a1", "a2", "a3"):
                    a, b = start + random.gauss(0, 0.1), start + length + random.gauss(0, 0.1)
                    out.write(orjson.dumps({
                        "video": f"laboratory/video{v:06d}.mp4", "start": round(abs(a), 3), "end": round(b, 3),
                        "label": labels[(v + i) % 2 + v % 3], "annotator": annotator, "subject": f"s{v % 229:03d}",
                        "domain": "laboratory",
                    }, option=orjson.OPT_APPEND_NEWLINE))  # fmt: skip
                    count += 1
    return count


def cpu(work) -> float:
    """CPU seconds of a call, its child processes included."""
    before = time.process_time() + sum(children())
    work()
    return time.process_time() + sum(children()) - before


def children() -> tuple[float, float]:
    """User and system seconds of ended child processes."""
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime, used.ru_stime


def parse(path: Path) -> None:
    """The yardstick: every line through orjson, nothing done with it."""
    with open(path, "rb") as lines:
        for line in lines:
            orjson.loads(line)


def main() -> None:
    """Prints a row a case: lines, seconds of each, and the ratio."""
    videos = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(f"{'case':<28}{'lines':>9}{'parse s':>9}{'merge s':>9}{'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for instances, *options in ((1,), (1, "--grouped"), (4, "--grouped"), (4, "--grouped", "--agreement", "/dev/null")):
            path = Path(folder) / "annotations.jsonl"
            lines = write(path, videos // instances, instances)
            plain = min(cpu(lambda path=path: parse(path)) for _ in range(3))
            command = [str(ROOT / "bin" / "mma82"), "merge-annotations", *options, str(path), "-o", "/dev/null"]
            mine = cpu(lambda command=command: subprocess.run(command, check=True, stderr=subprocess.DEVNULL))
            name = f"{instances} a video {' '.join(options)[:16]}"
            print(f"{name:<28}{lines:>9}{plain:>9.2f}{mine:>9.2f}{mine / plain:>7.1f}", flush=True)


if __name__ == "__main__":
    main()
