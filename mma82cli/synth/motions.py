"""The 82 micro-actions as a table, composed from a vocabulary of three words.

    shift(channel, size, hold)                   a channel of the pose goes to a value
    swing(channel, size, wave)                   a channel oscillates, `cycles` times within the action
    reach(who, place, hold, stroke, wave, ...)   a hand goes to a place of places.py and strokes there

`hold` says how the action stands in time, after the taxonomy's bounds:

    return   leaves rest, holds, is back at the end          stay    leaves rest and is held at the end (goes back later)
    from     was held before, is at rest at the end          on      is held from first to last (came before, goes later)
    either   return or stay, as it falls

Channels with `_a` belong to the acting side, `_b` to the other, `_ab` to both, `_s` to one or both. Sizes are degrees
for angles and metres for lengths, for a person of average amplitude; a `signed` one goes to either side.
`seconds` is the duration where nothing cycles; else it is cycles / hertz, and the ways there and back.
"""

from __future__ import annotations

from typing import NamedTuple


class Shift(NamedTuple):
    """A channel goes to `size` (metres or degrees) and is held as `hold` says; `signed`: to either side."""

    channel: str
    size: float
    hold: str = "return"
    signed: bool = False


class Swing(NamedTuple):
    """A channel oscillates by `size`. Waves: sine (about rest), bump (one way and back), mix (irregular), toss (decays)."""

    channel: str
    size: float
    wave: str = "sine"
    signed: bool = True


class Reach(NamedTuple):
    """A hand goes to a place (or one of several). `who`: a (acting), b (the other), ab (both), some (one, sometimes both).

    `stroke` is the amplitude (x outward, y up, z forward, in metres) of an oscillation at the place, `opposed` runs it
    the other way round in the second hand; `out` lifts the elbow.
    """

    who: str
    place: str | tuple[str, ...]
    hold: str = "return"
    stroke: tuple[float, float, float] = (0.0, 0.0, 0.0)
    wave: str = "sine"
    opposed: bool = False
    out: float = 0.0


class Action(NamedTuple):
    """How one label is performed. `fingers` is a hand shape that only the picture shows."""

    moves: tuple
    seconds: tuple[float, float] = (1.2, 2.4)
    cycles: tuple[int, int] = (1, 1)
    hertz: tuple[float, float] | None = None
    fingers: str = ""
    rests: tuple[str, ...] = ()  # where the hands must rest before, if not anywhere


def act(*moves, **options) -> Action:
    """An action of these moves."""
    return Action(moves, **options)


def touch(place, stroke=(0.0, 0.0, 0.0), hertz=(1.6, 3.0), cycles=(1, 4), **options) -> Action:
    """The acting hand leaves rest, touches or scratches a place, and withdraws."""
    return act(Reach("a", place, "return", stroke), hertz=hertz, cycles=cycles, **options)


ACTIONS: dict[str, Action] = {
    # -- body
    "Swing body": act(Swing("trunk_sway", 11), Swing("root_x", 0.02), cycles=(1, 3), hertz=(0.40, 0.75)),
    "Shaking body": act(Swing("trunk_sway", 3.2), Swing("root_x", 0.012), cycles=(3, 6), hertz=(2.0, 3.2)),
    "Change body direction": act(Shift("trunk_yaw", 40, "stay", True), seconds=(1.2, 2.4)),
    "Tilting forward/backward": act(Shift("trunk_lean", 22, "either", True), seconds=(1.4, 3.0)),
    "Sitting straightly": act(Shift("slump", 1.1, "from"), Shift("trunk_lean", 9, "from"), seconds=(1.0, 2.0)),
    "Shrugging": act(Swing("shrug_ab", 0.075, "bump", False), cycles=(1, 2), hertz=(0.9, 1.5)),
    # -- head
    "Nodding": act(Swing("head_pitch", 17, "bump", False), cycles=(2, 5), hertz=(1.3, 2.3)),
    "Shaking head": act(Swing("head_yaw", 22), cycles=(2, 5), hertz=(1.1, 1.9)),
    "Bowing head": act(Shift("head_pitch", 32, "stay"), seconds=(0.9, 2.4)),
    "Raising head": act(Shift("head_pitch", -24, "either"), seconds=(0.9, 2.2)),
    "Turning head": act(Shift("head_yaw", 48, "either", True), seconds=(1.0, 2.6)),
    "Tilting head": act(Shift("head_roll", 22, "either", True), seconds=(1.0, 2.6)),
    "Compound head movements": act(
        Swing("head_yaw", 20, "mix"), Swing("head_pitch", 13, "mix"), Swing("head_roll", 13, "mix"),
        cycles=(2, 4), hertz=(0.8, 1.4)),
    "Semantic head movements": act(
        Swing("head_pitch", -14, "bump", False), Swing("head_roll", 9, "bump"), cycles=(1, 3), hertz=(0.8, 1.3)),
    "Swing hair": act(Swing("head_yaw", 46, "toss"), Swing("head_roll", 20, "toss"), Swing("head_pitch", -12, "bump", False),
                      cycles=(1, 2), hertz=(1.2, 2.0)),
    # -- upper limbs: one hand
    "Pointing": act(Reach("a", ("ahead", "ahead", "aside", "self"), "return"), seconds=(1.2, 2.6), fingers="index"),
    "Illustrative gestures": act(
        Reach("some", "gesture", "return", (0.11, 0.10, 0.07), "mix", True), cycles=(2, 6), hertz=(1.4, 2.4)),
    "OK gestures": act(Reach("a", "sign"), seconds=(1.3, 2.4), fingers="ok"),
    "Thumbs up": act(Reach("a", "sign", "return", (0.0, 0.012, 0.0)), seconds=(1.3, 2.4), fingers="thumb"),
    "V gestures": act(Reach("a", "sign"), seconds=(1.3, 2.6), fingers="v"),
    "Waving": act(Reach("a", "wave", "return", (0.11, 0.0, 0.0)), cycles=(2, 5), hertz=(1.5, 2.5), fingers="open"),
    "Other symbolic gestures": act(
        Reach("a", ("sign", "air", "wave"), "return", (0.015, 0.01, 0.0), "mix"), seconds=(1.3, 2.6), fingers="call"),
    # -- upper limbs: hand in hand
    "Interlace fingers": act(Reach("ab", "lap_join", "stay"), seconds=(0.9, 1.8), fingers="lace"),
    "Holding fingers": act(Reach("ab", "lap_join", "return", (0.015, 0.0, 0.015), "sine", True),
                           cycles=(1, 2), hertz=(0.5, 0.9), fingers="grip"),
    "Holding hands": act(Reach("ab", "belly_join", "stay"), seconds=(0.9, 1.8), fingers="grip"),
    "Putting hands together": act(Reach("ab", "chest_join", "stay"), seconds=(0.9, 1.8), fingers="open"),
    "Spire gestures": act(Reach("ab", "spire", "stay"), seconds=(1.0, 2.0), fingers="open"),
    "Clapping": act(Reach("ab", "clap", "on", (0.085, 0.0, 0.0), "bump"), cycles=(2, 6), hertz=(2.0, 3.2), fingers="open"),
    "Rubbing hands": act(Reach("ab", "chest_join", "on", (0.0, 0.035, 0.035), "sine", True),
                         cycles=(3, 8), hertz=(2.0, 3.2), fingers="open"),
    "Rubbing spire hands": act(Reach("ab", "spire", "on", (0.0, 0.010, 0.012), "sine", True),
                               cycles=(3, 6), hertz=(1.8, 3.0), fingers="open"),
    "Rubbing hands with clenched": act(
        Reach("b", "belly_join", "on"), Reach("a", "belly_join", "on", (0.03, 0.01, 0.025)),
        cycles=(3, 6), hertz=(1.6, 2.8), fingers="fist"),
    "Rolling thumbs": act(Reach("ab", "lap_join", "on", (0.0, 0.006, 0.006), "circle"),
                          cycles=(3, 8), hertz=(1.5, 2.5), fingers="twiddle"),
    "Other finger interaction movements": act(
        Reach("ab", "lap_join", "on", (0.014, 0.012, 0.012), "mix", True), cycles=(2, 6), hertz=(1.2, 2.2), fingers="pick"),
    "Clenching fists": act(Reach("a", "thigh", "return", (0.0, 0.010, 0.0), "bump"),
                           cycles=(1, 2), hertz=(0.6, 1.0), fingers="fist"),
    "Spreading hands": act(Reach("some", "spread", "return"), seconds=(1.0, 2.2), fingers="open"),
    "Shaking": act(Reach("a", "shake", "return", (0.045, 0.05, 0.0)), cycles=(3, 8), hertz=(3.0, 4.2), fingers="limp"),
    "Wrist movements": act(Reach("a", "air", "return", (0.012, 0.012, 0.0), "circle"),
                           cycles=(1, 4), hertz=(0.9, 1.6), fingers="turn"),
    "Other hand movements": act(Reach("a", ("thigh", "lap", "air"), "return", (0.03, 0.03, 0.025), "mix"),
                                cycles=(1, 4), hertz=(0.9, 1.6)),
    "Playing objects": act(Reach("ab", "object", "on", (0.025, 0.025, 0.03), "mix", True), Shift("head_pitch", 14, "on"),
                           cycles=(2, 6), hertz=(0.9, 1.6), fingers="object"),
    "Pulling collar": act(Reach("a", "collar", "return", (0.03, -0.01, 0.04), "bump"), cycles=(1, 3), hertz=(1.2, 2.0)),
    # -- upper limbs: arms
    "Checking time": act(Reach("b", "watch"), Shift("head_pitch", 22), Shift("trunk_lean", 3),
                         seconds=(1.3, 2.4), fingers="watch"),
    "Folding arms": act(Reach("ab", "fold", "stay"), seconds=(1.0, 2.0)),
    "Folding arms rubbing": act(Reach("ab", "fold", "on", (0.02, 0.055, 0.0), "sine", True), cycles=(3, 6), hertz=(1.2, 2.2)),
    "Hands behind back": act(Reach("ab", "behind", "stay", out=0.3), Shift("trunk_lean", 4, "stay"), seconds=(1.1, 2.2)),
    "Retracting and stretching arms": act(
        Reach("some", ("stretch", "stretch", "stretch_side"), "return"), cycles=(1, 2), seconds=(1.4, 2.8)),
    "Scratching arms": act(Reach("b", "lap", "on"), Reach("a", "other_arm", "on", (0.07, 0.02, 0.02)),
                           cycles=(2, 5), hertz=(1.4, 2.6)),
    # -- lower limbs
    "Tiptoe": act(Shift("heel_s", 0.085, "stay"), seconds=(0.7, 1.6)),
    "Ankle movements": act(Swing("heel_a", 0.03, "bump", False), Swing("foot_x_a", 0.035, "sine"),
                           cycles=(2, 6), hertz=(1.4, 2.6)),
    "Stretching legs": act(Shift("foot_z_s", 0.27, "stay"), Shift("foot_y_s", 0.03, "stay"), seconds=(0.9, 2.0)),
    "Retracting legs": act(Shift("foot_z_s", 0.24, "from"), Shift("foot_z_s", -0.16, "stay"), Shift("heel_s", 0.03, "stay"),
                           seconds=(0.9, 2.0)),
    "Shaking legs": act(Swing("heel_a", 0.055, "bump", False), cycles=(5, 12), hertz=(3.0, 4.4)),
    "Closing legs": act(Shift("knee_out_ab", 0.36, "from"), seconds=(0.8, 1.6)),
    "Spread legs": act(Shift("knee_out_ab", 0.36, "stay"), seconds=(0.8, 1.6)),
    "Crossing legs": act(Shift("foot_x_ab", -0.19, "stay"), Shift("foot_z_a", 0.22, "stay"), Shift("foot_z_b", 0.10, "stay"),
                         seconds=(0.9, 1.8)),
    "Curling legs": act(Shift("foot_x_a", -0.33, "stay"), Shift("foot_y_a", 0.34, "stay"), Shift("foot_z_a", 0.16, "stay"),
                        Shift("trunk_lean", -5, "return"), seconds=(1.0, 2.0)),
    # -- body and hand
    "Scratching or touching shoulder": touch(("shoulder_other", "shoulder_other", "shoulder_same"), (0.02, 0.025, 0.0)),
    "Scratching or touching neck": touch("nape", (0.0, 0.03, 0.02)),
    "Scratching or touching back": act(Reach("a", "back", "return", (0.03, 0.04, 0.0), out=0.3), cycles=(1, 4), hertz=(1.4, 2.4)),
    "Arms akimbo": act(Reach("some", "hip", "stay", out=0.8), seconds=(0.9, 1.8)),
    "Scratching or touching chest or abdomen": touch(("chest", "chest", "belly"), (0.03, 0.03, 0.0)),
    # -- head and hand
    "Scratching or touching forehead": touch("forehead", (0.03, 0.01, 0.0)),
    "Rubbing eyes": touch("eye", (0.022, 0.012, 0.0)),
    "Covering eyes": act(Reach("a", "eyes", "return", out=0.3), Shift("head_pitch", 10), seconds=(1.4, 2.8)),
    "Pushing glasses": act(Reach("a", "bridge", "return", (0.0, 0.012, 0.0), "bump"), seconds=(0.8, 1.4), fingers="index"),
    "Touching nose": touch("nose", (0.012, 0.012, 0.0), fingers="index"),
    "Scratching or touching cheek": touch("cheek", (0.008, 0.028, 0.0)),
    "Cradling chin": act(Reach("a", "chin_rest", "stay"), Shift("head_roll", 8, "stay"), Shift("trunk_lean", 9, "stay"),
                         seconds=(1.4, 3.0), fingers="fist"),
    "Rubbing lip": touch("lips", (0.032, 0.004, 0.0), fingers="index"),
    "Covering mouth": act(Reach("a", "mouth", "return", out=0.15), seconds=(1.3, 2.8)),
    "Scratching or touching philtrum": touch("philtrum", (0.010, 0.006, 0.0), cycles=(1, 3), fingers="index"),
    "Scratching or touching chin": touch("chin", (0.018, 0.022, 0.01)),
    "Touching ears": touch("ear", (0.0, 0.025, 0.012)),
    "Scratching or touching head": touch("scalp", (0.03, 0.012, 0.025), hertz=(2.0, 3.4)),
    "Playing or tidying hair": touch("hair", (0.02, 0.075, 0.0), hertz=(0.8, 1.5)),
    # -- legs and hand
    "Placing hands on legs with elbows outward": act(
        Reach("ab", "thigh_out", "stay", out=0.75), Shift("trunk_lean", 7, "stay"), seconds=(0.9, 1.8)),
    "Patting legs": act(Reach("a", "thigh", "on", (0.0, 0.075, 0.0), "bump"), cycles=(1, 4), hertz=(1.6, 2.8)),
    "Scratching legs": act(Reach("a", "shin", "on", (0.0, 0.06, 0.03)), Shift("trunk_lean", 30, "on"),
                           cycles=(2, 5), hertz=(1.6, 2.8)),
    "Touching legs": act(Reach("a", "thigh", "on", (0.0, 0.0, 0.11)), cycles=(2, 5), hertz=(0.8, 1.5)),
    "Flattening hands on legs": act(Reach("ab", "belly_join", "from"), Reach("ab", "thigh_far", "stay"), seconds=(0.9, 1.7)),
    "Folding hands on legs": act(Reach("ab", "thigh_join", "stay"), seconds=(0.9, 1.7), rests=("thigh_far", "armrest")),
    "Rubbing knee": act(Reach("a", "knee", "on", (0.045, 0.0, 0.045), "circle"), cycles=(2, 5), hertz=(1.0, 1.8)),
    "Scratching feet": act(Reach("a", "foot", "return", (0.03, 0.03, 0.02)), Shift("trunk_lean", 50), Shift("foot_z_a", -0.05),
                           cycles=(2, 5), hertz=(1.6, 2.6)),
}  # fmt: skip

FINGERS = frozenset({  # what only fingers show: the picture has it, the joints don't
    "Pointing", "OK gestures", "Thumbs up", "V gestures", "Other symbolic gestures", "Interlace fingers", "Holding fingers",
    "Spire gestures", "Rubbing spire hands", "Rubbing hands with clenched", "Rolling thumbs",
    "Other finger interaction movements", "Clenching fists", "Wrist movements", "Other hand movements",
})  # fmt: skip

FIDGETS: dict[str, Action] = {  # small things that everybody does and no label asks for
    "glance": act(Shift("head_yaw", 9, "return", True), seconds=(0.7, 1.5)),
    "look down": act(Shift("head_pitch", 7, "return"), seconds=(0.7, 1.5)),
    "settle": act(Shift("root_x", 0.018, "return", True), Shift("trunk_sway", 2.5, "return", True), seconds=(0.8, 1.6)),
    "breathe": act(Shift("slump", -0.18, "return"), Shift("shrug_ab", 0.012, "return"), seconds=(1.2, 2.2)),
    "move a hand": act(Reach("b", ("thigh", "thigh_far", "lap"), "return"), seconds=(0.9, 1.8)),
    "move a foot": act(Shift("foot_x_a", 0.035, "return", True), Shift("heel_a", 0.02, "return"), seconds=(0.7, 1.4)),
}  # fmt: skip
