"""Three annotators' LabelU exports, and the segments in them."""

from pathlib import Path


def test_the_segments_of_three_annotators(run, shared, jsonl):
    folder = shared / "goldens" / "labelu"
    ids = {r["label"]: r["id"] for r in run("labels").records}
    got = []
    for annotator in ("a1", "a2", "a3"):
        path = folder / f"labelu_{annotator}.json"
        for r in run("convert", "--from", "labelu", "--annotator", annotator, "--on-error", "skip", path).records:
            got.append((Path(r["video"]).stem, r["annotator"], ids[r["label"]], r["start"], r["end"]))
    want = jsonl(folder / "labelu_expected.jsonl")
    assert sorted(got) == sorted((r["video"], r["annotator"], r["label"], r["start"], r["end"]) for r in want)
