"""A scene as a video file: backdrop, seat, person, light, then the luminous markers at the joints that are seen."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from mma82cli.records import DataError
from mma82cli.synth import backdrops, body, hands, markers
from mma82cli.synth.domains import visible
from mma82cli.synth.paint import bgr, disc, limb, outline, oval, shape, stroke
from mma82cli.synth.perform import Deed, weight
from mma82cli.synth.scene import Scene
from mma82cli.video.writer import write_frames

CODECS = ((".mp4", "mp4v"), (".avi", "MJPG"))
MARKER_COLOURS = [tuple(int(v) for v in c[::-1]) for c in markers.colours()]


def codec() -> tuple[str, str]:
    """(suffix, four letters) of the first codec that this cv2 can write."""
    import tempfile

    for suffix, letters in CODECS:
        with tempfile.TemporaryDirectory() as folder:
            writer = cv2.VideoWriter(os.path.join(folder, "try" + suffix), cv2.VideoWriter.fourcc(*letters), 15, (64, 64))
            ready = writer.isOpened()
            writer.release()
        if ready:
            return suffix, letters
    raise DataError("this cv2 writes neither mp4v nor MJPG; expected an opencv-python with video support")


def write_video(scene: Scene, path: Path, letters: str) -> None:
    """Renders `scene` into `path`, which appears when it is whole."""
    size = (scene.domain.width, scene.domain.height)
    write_frames(path, frames(scene), scene.domain.fps, size, letters)


def frames(scene: Scene):
    """The pictures of a scene, (H, W, 3) BGR uint8, one after the other."""
    cv2.setNumThreads(1)
    figure = Figure(scene)
    rng, domain, camera = scene.rng, scene.domain, scene.view
    backs = [backdrops.paint(domain, rng)]
    if camera.shot[-1]:
        backs.append(cv2.flip(backdrops.paint(domain, rng), 1))
    light, passers = backdrops.light(domain, rng), backdrops.Passers(domain, rng)
    grain = [rng.integers(0, 7, (domain.height, domain.width, 3), dtype=np.uint8) for _ in range(4)]
    noisy = domain.name in ("psychiatric", "street")
    for i, t in enumerate(scene.t):
        image = _back(backs, camera, i)
        passers.draw(image, t, camera.shift[i] - camera.shift[0])
        figure.draw(image, i)
        if light is not None:
            image = cv2.multiply(image, light, scale=1 / 128)
        if noisy:
            image = cv2.subtract(cv2.add(image, grain[i % 4]), grain[(i + 1) % 4][::-1])
        figure.mark(image, i)
        yield image


def _back(backs, camera, i: int) -> np.ndarray:
    """The backdrop as the camera sees it in frame `i`: far away, so it grows less than the person."""
    back, domain = backs[camera.shot[i] % len(backs)], camera.domain
    first = int(np.argmax(camera.shot == camera.shot[i]))
    grow = (camera.scale[i] / camera.scale[first]) ** 0.6
    room = np.array([back.shape[1], back.shape[0]])
    size = np.minimum(np.rint(np.array([domain.width, domain.height]) / grow).astype(int), room)
    corner = np.rint((room - size) / 2 - camera.shift[i] + camera.shift[first]).astype(int)
    x, y = np.clip(corner, 0, room - size).tolist()
    window = back[y : y + size[1], x : x + size[0]]
    if window.shape[:2] == (domain.height, domain.width):
        return window.copy()
    return cv2.resize(window, (domain.width, domain.height), interpolation=cv2.INTER_LINEAR)


class Figure:
    """The person of a scene, with all points in pixels, and the drawing of one frame."""

    def __init__(self, scene: Scene):
        sk, camera = scene.skeleton, scene.view
        self.scene, self.who, self.scale = scene, scene.person, camera.scale
        self.joints, self.depth = camera.project(sk.joints)
        self.seen = visible(sk, camera, self.joints, self.depth)
        self.marked = self.seen & ~_covered(self.joints, self.depth, self.seen)
        self.tips, _ = camera.project(sk.fingertips)
        self.toes, _ = camera.project(sk.toes)
        r = sk.size.head

        def head(*local):
            return camera.project((sk.head_centre + body.turn(sk.head, np.array(local) * r))[:, None])[0][:, 0]

        self.centre, self.crown = head(0, 0.05, -0.1), head(0, 1.0, 0)
        self.face, self.fringe, self.back = head(0, -0.12, 0.50), head(0, 0.62, 0.30), head(0, -0.55, -0.45)
        a, b = np.radians(camera.yaw), np.radians(camera.elevation)
        gaze = sk.head[..., 2]  # where the face looks: aside and up, as the camera has it
        aside = gaze[:, 0] * np.cos(a) + gaze[:, 2] * np.sin(a)
        self.raised = gaze[:, 1] * np.cos(b) - (gaze[:, 2] * np.cos(a) - gaze[:, 0] * np.sin(a)) * np.sin(b)
        self.foreshortened = np.sqrt(np.maximum(1 - np.stack([aside, self.raised], 1) ** 2, 0.08))
        self.mouth = np.stack([head(-0.26, -0.52, 0.86), head(0, -0.58, 0.92), head(0.26, -0.52, 0.86)], 1)
        self.neck = camera.project(np.stack([sk.neck + body.turn(sk.trunk, [0, -0.05, 0]), sk.head_centre], 1))[0]
        self.seat = camera.project(np.repeat(_seat(sk.size.seat, scene.domain.name)[None], len(scene.t), 0))[0]
        self.forms = _forms(scene)
        self.left_is_nearer = camera.yaw < 0

    def draw(self, image, i: int) -> None:
        """Draws the person, without markers, into frame `i`."""
        j, s, who = self.joints[i], self.scale[i], self.who
        self._chair(image, i)
        sides = (1, 0) if self.left_is_nearer[i] else (0, 1)
        behind = [k for k in (0, 1) if not self.seen[i, body.WRISTS[k]] and self._inside(i, k)]
        for k in behind:
            self._arm(image, i, k)
        top, edge = bgr(who.top), bgr(who.top, 0.7)
        trunk = j[[5, 6, 12, 11]]
        if who.long_hair:
            oval(image, self.back[i], (0.165 * s, 0.20 * s), 0, bgr(who.hair, 0.85))
        for colour, extra in ((edge, 2.0), (top, 0.0)):
            outline(image, trunk, colour, 0.13 * s + extra)
        for k in sides:
            self._leg(image, i, k)
        self._head(image, i)
        for k in sides:
            if k not in behind:
                self._arm(image, i, k)

    def mark(self, image, i: int) -> None:
        """Draws the markers of the joints that are seen and that no nearer marker covers."""
        for v in np.argsort(self.depth[i], kind="stable"):
            if self.marked[i, v]:
                disc(image, self.joints[i, v], markers.RADIUS + markers.RIM, markers.RIM_COLOUR)
                disc(image, self.joints[i, v], markers.RADIUS, MARKER_COLOURS[v])

    def _inside(self, i: int, k: int) -> bool:
        x = self.joints[i, body.WRISTS[k], 0]
        low, high = sorted((self.joints[i, 5, 0], self.joints[i, 6, 0]))
        return low < x < high

    def _chair(self, image, i: int) -> None:
        p, s = self.seat[i], self.scale[i]
        wood, dark = bgr((104, 98, 92)), bgr((74, 70, 68))
        for leg in (p[8:10], p[10:12], p[12:14], p[14:16]):
            stroke(image, leg, dark, 0.03 * s)
        shape(image, p[4:8], bgr((118, 112, 106)))
        shape(image, p[0:4], wood)

    def _leg(self, image, i: int, k: int) -> None:
        j, s = self.joints[i], self.scale[i]
        hip, knee, ankle, toe = j[body.HIPS[k]], j[body.KNEES[k]], j[body.ANKLES[k]], self.toes[i, k]
        cloth, edge, shoe = bgr(self.who.legs), bgr(self.who.legs, 0.68), bgr((52, 48, 48))
        limb(image, ankle + (toe - ankle) * 0.15, toe, 0.042 * s, 0.034 * s, shoe)
        limb(image, knee, ankle, 0.062 * s + 1, 0.042 * s + 1, edge)
        limb(image, knee, ankle, 0.062 * s, 0.042 * s, bgr(self.who.legs, 0.92))
        limb(image, hip, knee, 0.085 * s + 1, 0.070 * s + 1, edge)
        limb(image, hip, knee, 0.085 * s, 0.070 * s, cloth)

    def _arm(self, image, i: int, k: int) -> None:
        j, s, who = self.joints[i], self.scale[i], self.who
        shoulder, elbow, wrist = j[body.SHOULDERS[k]], j[body.ELBOWS[k]], j[body.WRISTS[k]]
        cloth, edge = bgr(who.top, 1.06), bgr(who.top, 0.66)
        form, beat = self.forms[k][i]
        limb(image, shoulder, elbow, 0.056 * s + 1, 0.046 * s + 1, edge)
        limb(image, shoulder, elbow, 0.056 * s, 0.046 * s, cloth)
        hands.draw(image, wrist, self.tips[i, k], -1.0 if k else 1.0, form, beat, who.skin, s)
        limb(image, elbow, wrist, 0.044 * s + 1, 0.032 * s + 1, edge)
        limb(image, elbow, wrist, 0.044 * s, 0.032 * s, cloth)

    def _head(self, image, i: int) -> None:
        j, s, who = self.joints[i], self.scale[i], self.who
        r = self.scene.skeleton.size.head * s
        skin, edge, hair = bgr(who.skin), bgr(who.skin, 0.7), bgr(who.hair)
        limb(image, self.neck[i, 0], self.neck[i, 1], 0.058 * s, 0.055 * s, bgr(who.skin, 0.85))
        up = self.crown[i] - self.centre[i]
        tilt = float(np.degrees(np.arctan2(up[0], -up[1])))
        for v in (3, 4):
            disc(image, j[v], 0.17 * r, edge)
        oval(image, self.centre[i], (0.99 * r + 1, 1.10 * r + 1), tilt, bgr(who.hair, 0.7))
        oval(image, self.centre[i], (0.99 * r, 1.10 * r), tilt, hair)
        wide, tall = self.foreshortened[i]
        oval(image, self.face[i], (0.88 * r * wide, 0.98 * r * tall), tilt, skin)
        if self.raised[i] > -0.45:
            oval(image, self.fringe[i], (0.82 * r * wide, 0.34 * r), tilt, hair)
        if who.glasses:
            for v in (1, 2):
                if self.seen[i, v]:
                    disc(image, j[v], 0.34 * r, bgr((60, 58, 58)))
                    disc(image, j[v], 0.34 * r - 1.4, bgr(who.skin, 1.1))
        if self.seen[i, 0]:
            stroke(image, self.mouth[i], bgr(who.skin, 0.55), 0.09 * r)


def _covered(joints: np.ndarray, depth: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Which joints (T, 17) lie so close behind another one's marker that theirs would be cut."""
    reach = 2 * markers.RADIUS - 0.5
    gap = np.square(joints[:, :, None] - joints[:, None]).sum(-1) < reach * reach
    return (gap & seen[:, None] & (depth[:, None] > depth[:, :, None])).any(-1)


def _forms(scene: Scene) -> list[list[tuple[str, float]]]:
    """For each hand and frame the finger shape and the beat of the action that makes it."""
    out = [[("", 0.0)] * len(scene.t) for _ in range(2)]
    for d in scene.deeds:
        form = d.action.fingers
        if not form:
            continue
        strong = weight(d, scene.t, "on" if "on" in _holds(d) else "stay" if "stay" in _holds(d) else "return") > 0.5
        beat = (scene.t - d.start) / (d.end - d.start) * d.cycles
        for k in _acting(d):
            for i in np.flatnonzero(strong):
                out[k][i] = (form, float(beat[i]))
    return out


def _holds(d: Deed) -> set[str]:
    return {move.hold for move in d.action.moves if hasattr(move, "hold")}


def _acting(d: Deed) -> list[int]:
    """The hands that a deed's finger shape is drawn on."""
    who = {move.who for move in d.action.moves if hasattr(move, "who")}
    if "ab" in who or {"a", "b"} <= who or ("some" in who and d.both):
        return [0, 1]
    return [1 - d.side] if "b" in who else [d.side]


def _seat(height: float, domain: str) -> np.ndarray:
    """Corners (16, 3) of back, seat and legs of what people sit on; in the street it is a bench."""
    wide = 0.85 if domain == "street" else 0.27
    tall = height + (0.30 if domain == "street" else 0.42)
    back = [(-wide, height, -0.17), (wide, height, -0.17), (wide, tall, -0.22), (-wide, tall, -0.22)]
    seat = [(-wide, height, -0.17), (wide, height, -0.17), (wide, height, 0.24), (-wide, height, 0.24)]
    legs = [p for x in (-wide + 0.03, wide - 0.03) for z in (-0.15, 0.22) for p in ((x, height, z), (x, 0.0, z))]
    return np.array(back + seat + legs)
