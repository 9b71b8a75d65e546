"""Frames and crops as the authors' code takes them (../shared/goldens/rgb)."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mma82cli.rgb import crops, sampling


def test_frames_are_those_of_the_authors(shared, jsonl):
    seen = 0
    for row in jsonl(shared / "goldens/rgb/sampler.jsonl"):
        frames, parts, expected = row["n"], row["T"], np.array(row["indices_1based"], int) - 1
        source = None if row["seed"] is None else np.random.RandomState(row["seed"])
        if row["mode"] == "train":
            if frames < parts and not row["dense"]:
                continue  # theirs is the first frame again and again
            draw = sampling.dense_train_indices if row["dense"] else sampling.train_indices
            found = draw(frames, parts, source)
        elif row["dense"]:
            found = sampling.dense_test_indices(frames, parts).ravel()
        elif row["mode"] == "val" and frames <= parts:
            continue
        else:
            found = sampling.test_indices(frames, parts, 1 + (row["twice"] and row["mode"] == "test")).ravel()
        assert found.tolist() == expected.tolist(), row
        seen += 1
    assert seen > 350


def test_frames_are_those_of_mmaction2(shared):
    for row in json.loads((shared / "goldens/rgb/sampler_mmaction2_test.json").read_text()):
        for key, clips in (("test", 1), ("twice", 2)):
            assert sampling.test_indices(row["n"], 8, clips).ravel().tolist() == row[key], row["n"]


def test_crops_are_those_of_the_authors(shared):
    for row in json.loads((shared / "goldens/rgb/multiscale_crop.json").read_text()):
        sizes = crops.crop_sizes(row["w"], row["h"], 224)
        assert [list(size) for size in sizes] == row["pairs_wh"]
        for size in sizes:
            expected = row["offsets"][f"{size[0]}x{size[1]}"]
            assert [list(place) for place in crops.corners(row["w"], row["h"], size)] == expected


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_short_clips_are_spread_over_the_parts(frames):
    drawn = sampling.train_indices(frames, 8, np.random.default_rng(0))
    assert drawn.tolist() == sorted(drawn.tolist()) and set(drawn) == set(range(frames))


@pytest.mark.parametrize("short", [16, 222, 223, 224, 256])
@pytest.mark.parametrize("long", [0, 1, 7, 300])
def test_crops_lie_in_the_picture(short, long):
    """Also where the network's input is a little larger than the picture: the authors' crop is then black at the edges."""
    for width, height in ((short, short + long), (short + long, short)):
        for crop in crops.crop_sizes(width, height, 224):
            for x, y in crops.corners(width, height, crop):
                assert 0 <= x <= x + crop[0] <= width and 0 <= y <= y + crop[1] <= height and min(crop) > 0
