"""`mma82 plot`: every kind draws what its command wrote, and refuses what it did not."""

from __future__ import annotations

import pytest

from mma82cli.plots import KINDS

VIDEO = {
    "id": "v1", "duration": 12, "segments": [{"start": 1, "end": 3, "label": "Nodding"}],
    "predictions": [{"start": 1, "end": 3.1, "label": "Nodding", "score": 0.9}],
}  # fmt: skip


def test_diagnosis_is_the_figure_of_diagnose(run, tmp_path):
    figures = run("diagnose", "--plot", tmp_path / "a", stdin=[VIDEO])
    drawn = run("plot", "diagnosis", "--out", tmp_path / "b", stdin=figures.out)
    assert drawn.code == 0, drawn.err
    assert [x["figure"] for x in drawn.records] == [str(tmp_path / "b" / f"diagnosis{end}") for end in (".svg", ".png")]
    for end in ("svg", "png"):
        assert (tmp_path / "a" / f"diagnosis.{end}").read_bytes() == (tmp_path / "b" / f"diagnosis.{end}").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_other_records_are_refused_in_a_line(run, tmp_path, kind):
    refused = run("plot", kind, "--out", tmp_path, stdin=[{"id": "x"}])
    assert refused.code == 1 and refused.out == ""
    assert refused.err.startswith("mma82 plot: ") and refused.err.count("\n") == 1


def test_an_unknown_kind_names_the_kinds(run):
    refused = run("plot", "pie")
    assert refused.code == 2 and "diagnosis" in refused.err
