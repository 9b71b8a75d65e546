"""Every number of the benchmark: arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple


class Metric(NamedTuple):
    """A metric of recognition. `title` heads its column in tables; `at` is `module:function` of this package, of which
    function(margins, rule) -> (…) fractions gives a level's value (`recognition.Margins`, one of its LABEL_RULES), or for
    f1-mean, which has no level of its own, function(action, body) both levels'."""

    title: str
    at: str

    @property
    def function(self) -> Callable:
        """What computes it, imported now."""
        module, _, name = self.at.partition(":")
        return getattr(import_module(f"mma82cli.metrics.{module}"), name)


METRICS = {  # in the order of a report
    "top1": Metric("Top-1", "recognition:top1"),
    "top5": Metric("Top-5", "recognition:top5"),
    "mca": Metric("MCA", "recognition:mca"),
    "macro-f1": Metric("Macro F1", "recognition:macro_f1"),
    "micro-f1": Metric("Micro F1", "recognition:top1"),  # one label a clip: the same
    "f1-mean": Metric("F1 mean", "recognition:f1_mean"),
}
