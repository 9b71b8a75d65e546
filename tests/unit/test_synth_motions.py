"""The synthetic people: bones, motions of all 82 actions, time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli.synth import body, motions, perform, scene
from mma82cli.synth.domains import DOMAINS
from mma82cli.synth.places import PLACES, RESTS
from mma82cli.synth.subjects import subject
from mma82cli.taxonomy import load_taxonomy

LABELS = load_taxonomy("mma82").names


def person(seed: int = 0):
    return subject("lab000", np.random.SeedSequence(seed))


def doing(label: str, seed: int = 0, rest: str = "thigh", fps: int = 50):
    """(deed, times, skeleton) of one action with nothing else going on."""
    who, rng = person(seed), np.random.default_rng(seed)
    did = perform.deed(label, who, rng)
    t = np.arange(-0.8, did.end + 1.0, 1 / fps)
    return did, t, perform.perform(who, [did], t, rest, np.random.default_rng(seed + 1))


def bones(skeleton) -> dict[str, tuple[np.ndarray, float]]:
    """Length (T,) of each bone, and what it should be."""
    j, size = skeleton.joints, skeleton.size

    def between(a, b):
        return np.linalg.norm(j[:, a] - j[:, b], axis=1)

    out = {"shoulders": (between(5, 6), None), "hips": (between(11, 12), None)}
    for i in (0, 1):
        out[f"upper arm {i}"] = (between(5 + i, 7 + i), size.upper_arm)
        out[f"forearm {i}"] = (between(7 + i, 9 + i), size.forearm)
        out[f"thigh {i}"] = (between(11 + i, 13 + i), size.thigh)
        out[f"shin {i}"] = (between(13 + i, 15 + i), size.shin)
        out[f"hand {i}"] = (np.linalg.norm(skeleton.fingertips[:, i] - j[:, 9 + i], axis=1), size.hand)
    return out


def test_every_label_has_a_motion_and_no_other():
    assert list(motions.ACTIONS) and set(motions.ACTIONS) == set(LABELS)
    assert set(LABELS) > motions.FINGERS
    for action in [*motions.ACTIONS.values(), *motions.FIDGETS.values()]:
        for move in action.moves:
            if isinstance(move, motions.Reach):
                places = (move.place,) if isinstance(move.place, str) else move.place
                assert set(places) <= set(PLACES)
        assert set(action.rests) <= set(RESTS)


@pytest.mark.parametrize("label", LABELS)
def test_bones_keep_their_lengths_and_everything_is_finite(label):
    _, _, skeleton = doing(label, seed=LABELS.index(label), fps=15)
    assert np.isfinite(skeleton.joints).all() and np.isfinite(skeleton.toes).all()
    for name, (length, wanted) in bones(skeleton).items():
        if wanted is not None:
            np.testing.assert_allclose(length, wanted, atol=1e-9, err_msg=f"{label}: {name}")


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_two_bones_reach_what_they_can(seed):
    rng = np.random.default_rng(seed)
    root, target, pole = rng.normal(0, 0.4, (3, 7, 3))
    middle, end = body.two_bones(root, target, 0.3, 0.25, pole)
    np.testing.assert_allclose(np.linalg.norm(middle - root, axis=1), 0.3, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(end - middle, axis=1), 0.25, atol=1e-9)
    distance = np.linalg.norm(target - root, axis=1)
    within = (distance > 0.08) & (distance < 0.54)
    np.testing.assert_allclose(end[within], target[within], atol=1e-9)


@settings(max_examples=40)
@given(st.floats(-180, 180), st.floats(-80, 80), st.floats(-180, 180))
def test_rotations_are_rotations(yaw, pitch, roll):
    frame = body.rotation(*(np.array([v]) for v in (yaw, pitch, roll)))[0]
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(frame) == pytest.approx(1)


TOUCHES = {  # label: joint of the face, or a function of the skeleton, that the fingertips come near
    "Touching nose": (0, 0.06), "Rubbing eyes": ((1, 2), 0.06), "Touching ears": ((3, 4), 0.06), "Pushing glasses": (0, 0.09),
    "Scratching or touching cheek": ((0, 3, 4), 0.14), "Rubbing knee": ((13, 14), 0.16), "Scratching feet": ((15, 16), 0.25),
    "Scratching or touching shoulder": ((5, 6), 0.13), "Scratching or touching head": ((3, 4), 0.22),
}  # fmt: skip


@pytest.mark.parametrize("label", TOUCHES)
@pytest.mark.parametrize("seed", range(4))
def test_a_reaching_hand_arrives(label, seed):
    joints, near = TOUCHES[label]
    did, t, skeleton = doing(label, seed)
    tip = skeleton.fingertips[:, did.side]
    gap = np.min([np.linalg.norm(tip - skeleton.joints[:, j], axis=1) for j in np.atleast_1d(joints)], axis=0)
    during = (t >= did.start) & (t <= did.end)
    assert gap[during].min() < near
    resting = np.linalg.norm(np.diff(tip[t < did.start - 0.6], axis=0), axis=1)
    assert resting.max() < 0.01  # and before, it rests


@pytest.mark.parametrize(("label", "joint", "axis"), [("Nodding", 0, 1), ("Shaking legs", None, 1), ("Clapping", 9, 0)])
def test_what_oscillates_does_so_as_often_as_it_says(label, joint, axis):
    did, t, skeleton = doing(label, seed=3, fps=100)
    joint = 13 + did.side if joint is None else joint
    during = (t >= did.start) & (t <= did.end)
    path = skeleton.joints[during, joint, axis]
    path = path - np.linspace(path[0], path[-1], len(path))
    spectrum = np.abs(np.fft.rfft(path - path.mean()))
    assert abs(int(spectrum[1:].argmax()) + 1 - did.cycles) <= 1


def signature(label: str) -> np.ndarray:
    """Range and mean place of every joint in chest and head axes while the action lasts, averaged over people."""
    rows = []
    for seed in range(6):
        did, t, skeleton = doing(label, seed, fps=25)
        during = (t >= did.start) & (t <= did.end)
        joints = skeleton.joints[during]
        if did.side == 0:  # as a right-handed person would do it
            joints = joints[:, [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]] * [-1, 1, 1]
        speed = np.abs(np.diff(joints, axis=0)).sum(0)
        rows.append(np.concatenate([np.ptp(joints, axis=0), joints.mean(0), joints[-1] - joints[0], speed]).ravel())
    return np.mean(rows, axis=0)


def test_each_action_that_joints_can_tell_has_a_signature_of_its_own():
    told = [label for label in LABELS if label not in motions.FINGERS]
    signatures = np.array([signature(label) for label in told])
    gaps = np.linalg.norm(signatures[:, None] - signatures[None], axis=2) + 9 * np.eye(len(told))
    i, j = np.unravel_index(gaps.argmin(), gaps.shape)
    assert gaps.min() > 0.02, (told[i], told[j])


def test_signs_of_the_hand_differ_in_the_picture_and_not_in_the_joints():
    who = person()
    deeds = [perform.deed(label, who, np.random.default_rng(5)) for label in ("OK gestures", "V gestures")]
    t = np.linspace(0, 1, 20)
    one, two = (perform.perform(who, [d], t, "thigh", np.random.default_rng(1)) for d in deeds)
    assert deeds[0].action.fingers != deeds[1].action.fingers
    assert np.abs(one.joints - two.joints).max() < 0.03


def test_people_differ_and_stay_themselves():
    people = [person(seed) for seed in range(40)]
    assert people[3] == person(3)
    for trait in ("tempo", "amplitude", "slump", "sway"):
        assert np.std([getattr(p, trait) for p in people]) > 0.05
    assert {p.hand for p in people} == {0, 1} and sum(p.hand for p in people) > 28
    assert len({p.size.trunk for p in people}) == 40


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_scene_is_the_same_whenever_it_is_made(domain):
    name = f"{domain[:3]}001"
    first = scene.clip(7, 12, "Waving", False, domain, name)
    scene.clip(7, 13, "Nodding", False, domain, name)
    again = scene.clip(7, 12, "Waving", False, domain, name)
    np.testing.assert_array_equal(first.skeleton.joints, again.skeleton.joints)
    np.testing.assert_array_equal(first.view.shift, again.view.shift)
    other = scene.clip(8, 12, "Waving", False, domain, name)
    assert len(other.t) != len(first.t) or np.abs(other.skeleton.joints - first.skeleton.joints).max() > 0.01


def test_overlapping_deeds_need_different_parts_of_the_body():
    overlaps = 0
    labels = ["Nodding", "Shaking legs", "Waving", "Touching nose"]
    for index in range(30):
        made = scene.untrimmed(0, index, labels, [False] * 4, "laboratory", "lab000")
        assert all(0 <= d.start < d.end <= made.duration for d in made.deeds)
        for i, one in enumerate(made.deeds):
            for other in made.deeds[:i]:
                if one.start < other.end and other.start < one.end:
                    overlaps += 1
                    assert not scene.needs(one) & scene.needs(other)
    assert overlaps > 10
