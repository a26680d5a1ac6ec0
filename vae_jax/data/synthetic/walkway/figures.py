"""Who moves through the walkway: people, and what does not belong there.

Everything is made of parts in metres, x to the right, y up, z away from the camera. A
pose is a function of the distance covered, so that nobody slides over the ground.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Point = Float[np.ndarray, "3"]
Pair = Float[np.ndarray, "2 3"]
"""Left and right."""

UP = np.array([0.0, 1.0, 0.0])
STRIDE = 0.85
"""Ground covered by two steps, in heights of the walker."""
RUBBER = 0.12


class Part(NamedTuple):
    """A rod between two points, or a flat face of four corners in order."""

    points: Float[np.ndarray, "corner 3"]
    radius: float
    shade: float


class Looks(NamedTuple):
    """What tells one person from another; brightness in [0, 1], height in metres."""

    height: float
    shirt: float
    trousers: float
    skin: float
    hair: float
    has_backpack: bool
    phase: float


class Joints(NamedTuple):
    """A pose."""

    hips: Pair
    shoulders: Pair
    knees: Pair
    feet: Pair
    elbows: Pair
    hands: Pair
    head: Point


Pose = Callable[[Looks, float, Point], list[Part]]
"""From looks, distance covered and direction to parts around the origin."""


def draw_looks(rng: np.random.Generator) -> Looks:
    """Draws a person."""
    return Looks(
        height=rng.normal(1.72, 0.07),
        shirt=rng.uniform(0.08, 0.92),
        trousers=rng.uniform(0.08, 0.45),
        skin=rng.uniform(0.4, 0.65),
        hair=rng.uniform(0.08, 0.3),
        has_backpack=bool(rng.random() < 0.35),
        phase=rng.uniform(0, 2 * np.pi),
    )


def walker(looks: Looks, distance: float, ahead: Point) -> list[Part]:
    """A person who walks: legs and arms swing, the lower foot is on the ground."""
    size, side = looks.height, _side(ahead)
    phase = looks.phase + 2 * np.pi * distance / (STRIDE * size)
    phases = phase + np.array([0.0, np.pi])
    thigh = 0.42 * np.sin(phases)
    shin = thigh - 0.85 * np.maximum(np.cos(phases), 0.0)
    hips = 0.52 * size * UP + 0.055 * size * side
    knees = hips + 0.25 * size * _swung(thigh, ahead)
    feet = knees + 0.25 * size * _swung(shin, ahead)
    shoulders = 0.80 * size * UP + 0.09 * size * side
    arm = -0.45 * np.sin(phases)
    elbows = shoulders + 0.17 * size * _swung(arm, ahead)
    hands = elbows + 0.16 * size * _swung(arm + 0.35, ahead)
    head = 0.925 * size * UP + 0.02 * size * ahead
    joints = Joints(hips, shoulders, knees, feet, elbows, hands, head)
    drop = feet[:, 1].min() - 0.03 * size
    parts = _person(Joints(*(joint - drop * UP for joint in joints)), looks, ahead)
    if looks.has_backpack:
        back = (0.70 * size - drop) * UP - 0.10 * size * ahead
        ends = back + np.outer([-0.07, 0.07], size * UP)
        parts.append(Part(ends, 0.085 * size, 0.7 * looks.hair + 0.1))
    return parts


def cyclist(looks: Looks, distance: float, ahead: Point) -> list[Part]:
    """A person on a bicycle, who pedals."""
    wheel = 0.34
    hubs = wheel * UP + np.outer([-0.52, 0.52], ahead)
    cranks, saddle, bar = (
        _at(ahead, *where) for where in ((-0.08, 0.28), (-0.25, 0.95), (0.38, 1.02))
    )
    turn = looks.phase + distance / 1.8
    angles = turn + np.array([0.0, np.pi])
    feet = cranks + 0.1 * _side(ahead) + 0.17 * _swung(angles, ahead)
    hips = saddle + 0.06 * UP + 0.09 * _side(ahead)
    shoulders = _at(ahead, 0.10, 1.42) + 0.19 * _side(ahead)
    hands = bar + 0.22 * _side(ahead)
    joints = Joints(
        hips=hips,
        shoulders=shoulders,
        knees=_bent(hips, feet, 0.44, ahead),
        feet=feet,
        elbows=_bent(shoulders, hands, 0.29, -UP),
        hands=hands,
        head=_at(ahead, 0.22, 1.66),
    )
    frame = [
        (hubs[0], cranks), (hubs[0], saddle), (cranks, saddle), (saddle, bar),
        (cranks, bar), (bar, hubs[1]), (hands[0], hands[1]),
    ]  # fmt: skip
    rods = [Part(np.stack(ends), 0.025, 0.2) for ends in frame]
    wheels = [part for hub in hubs for part in _wheel(hub, wheel, ahead)]
    return [*wheels, *rods, *_person(joints, looks, ahead)]


def skater(looks: Looks, distance: float, ahead: Point) -> list[Part]:
    """A person who stands sideways on a board, arms out, and rolls."""
    sway = 0.05 * np.sin(looks.phase + distance / 2)
    size = looks.height
    facing = np.cross(ahead, UP)
    side = np.outer([-1.0, 1.0], ahead)
    feet = 0.14 * UP + 0.16 * size * side
    hips = (0.54 * size) * UP - 0.06 * size * facing + 0.06 * size * side
    shoulders = (0.81 * size) * UP + sway * ahead + 0.09 * size * side
    spread = np.outer([0.24, -0.2], size * facing)
    hands = shoulders + 0.12 * size * side + spread + (sway - 0.05) * UP
    joints = Joints(
        hips=hips,
        shoulders=shoulders,
        knees=_bent(hips, feet, 0.255 * size, facing),
        feet=feet,
        elbows=_bent(shoulders, hands, 0.17 * size, -UP),
        hands=hands,
        head=(0.935 * size) * UP + sway * ahead + 0.02 * size * facing,
    )
    board = Part(0.09 * UP + np.outer([-0.42, 0.42], ahead), 0.06, RUBBER)
    return [board, *_person(joints, looks, facing)]


def wheelchair(looks: Looks, distance: float, ahead: Point) -> list[Part]:
    """A seated person with a large wheel on either side, who turns them."""
    reach = 0.12 * np.sin(looks.phase + 2 * np.pi * distance / 1.2)
    side = _side(ahead)
    hips = _at(ahead, -0.10, 0.55) + 0.10 * side
    shoulders = _at(ahead, -0.16, 1.06) + 0.19 * side
    hands = _at(ahead, reach, 0.66) + 0.30 * side
    knees = _at(ahead, 0.34, 0.58) + 0.10 * side
    joints = Joints(
        hips=hips,
        shoulders=shoulders,
        knees=knees,
        feet=_at(ahead, 0.46, 0.16) + 0.09 * side,
        elbows=_bent(shoulders, hands, 0.27, -ahead),
        hands=hands,
        head=_at(ahead, -0.12, 1.32),
    )
    axles = 0.31 * UP + 0.30 * side
    wheels = [part for axle in axles for part in _wheel(axle, 0.31, ahead)]
    corners = [(-0.28, 0.48), (-0.32, 1.0), (-0.32, 1.0), (-0.28, 0.48)]
    spans = np.array([-1.0, -1.0, 1.0, 1.0])[:, None] * 0.25 * side[1]
    rest = np.stack([_at(ahead, *corner) for corner in corners]) + spans
    seat = Part(_at(ahead, 0.05, 0.47) + 0.25 * side, 0.09, RUBBER)
    return [*wheels, seat, Part(rest, 0.0, RUBBER), *_person(joints, looks, ahead)]


def cart(looks: Looks, distance: float, ahead: Point) -> list[Part]:
    """A small vehicle with a roof and a driver."""
    del distance
    side = _side(ahead)
    body = _box(ahead, (-1.25, 1.2), half_width=0.62, heights=(0.28, 0.85), shade=0.22)
    roof = _box(ahead, (-1.1, 0.75), half_width=0.62, heights=(1.92, 2.0), shade=0.5)
    posts = [
        Part(
            np.stack([_at(ahead, low, 0.85), _at(ahead, high, 1.92)]) + edge, 0.03, 0.3
        )
        for low, high in ((-1.05, -1.0), (0.95, 0.65))
        for edge in 0.56 * side
    ]
    wheels = [
        part
        for along in (-0.85, 0.85)
        for edge in 0.6 * side
        for part in _wheel(_at(ahead, along, 0.26) + edge, 0.26, ahead)
    ]
    hips = _at(ahead, 0.0, 0.85) + 0.09 * side - 0.25 * side[1]
    shoulders = hips + 0.55 * UP + 0.10 * side
    hands = shoulders + 0.45 * ahead - 0.25 * UP
    driver = Joints(
        hips=hips,
        shoulders=shoulders,
        knees=hips + 0.42 * ahead,
        feet=hips + 0.6 * ahead - 0.35 * UP,
        elbows=_bent(shoulders, hands, 0.27, -UP),
        hands=hands,
        head=shoulders.mean(0) + 0.24 * UP,
    )
    return [*wheels, *body, *_person(driver, looks, ahead), *posts, *roof]


def _person(joints: Joints, looks: Looks, ahead: Point) -> list[Part]:
    size = looks.height

    def rods(start: Pair, end: Pair, radius: float, shade: float) -> list[Part]:
        pairs = zip(start, end, strict=True)
        return [Part(np.stack(ends), radius * size, shade) for ends in pairs]

    middle = np.stack([joints.shoulders.mean(0), joints.hips.mean(0)])
    toes = joints.feet + 0.09 * size * ahead
    crown = joints.head + 0.035 * size * UP - 0.015 * size * ahead
    return [
        *rods(joints.hips, joints.knees, 0.045, looks.trousers),
        *rods(joints.knees, joints.feet, 0.034, looks.trousers),
        *rods(joints.feet, toes, 0.025, 0.6 * looks.trousers),
        *rods(joints.shoulders, joints.hips, 0.05, looks.shirt),
        Part(middle, 0.066 * size, looks.shirt),
        *rods(joints.shoulders, joints.elbows, 0.03, 0.8 * looks.shirt),
        *rods(joints.elbows, joints.hands, 0.025, looks.skin),
        Part(np.stack([joints.head, joints.head]), 0.058 * size, looks.skin),
        Part(np.stack([crown, crown]), 0.052 * size, looks.hair),
    ]


def _side(ahead: Point) -> Pair:
    """A metre to the left and to the right."""
    right = np.cross(UP, ahead)
    return np.stack([-right, right])


def _at(ahead: Point, along: float, height: float) -> Point:
    return along * ahead + height * UP


def _swung(angles: Float[np.ndarray, "2"], ahead: Point) -> Pair:
    """Directions at an angle forward of straight down."""
    return np.outer(np.sin(angles), ahead) - np.outer(np.cos(angles), UP)


def _bent(start: Pair, end: Pair, bone: float, towards: Point) -> Pair:
    """The middle joint of two bones of one length, bent in a direction."""
    half = np.linalg.norm(end - start, axis=1, keepdims=True) / 2
    sag = np.sqrt(np.maximum(bone**2 - half**2, 0.0))
    return (start + end) / 2 + sag * towards


def _wheel(hub: Point, radius: float, ahead: Point) -> list[Part]:
    angles = np.linspace(0, 2 * np.pi, 13)
    rim = hub + radius * (
        np.outer(np.cos(angles), ahead) + np.outer(np.sin(angles), UP)
    )
    return [Part(rim[i : i + 2], 0.035, RUBBER) for i in range(12)]


def _box(
    ahead: Point,
    along: tuple[float, float],
    *,
    half_width: float,
    heights: tuple[float, float],
    shade: float,
) -> list[Part]:
    """Sides, some darker than others, and the top, which is lit."""
    left, right = half_width * _side(ahead)
    low, high = heights
    corners = [(along[0], left), (along[1], left), (along[1], right), (along[0], right)]
    bottom, top = (
        np.stack([_at(ahead, far, height) + edge for far, edge in corners])
        for height in (low, high)
    )
    sides = [
        Part(np.stack([bottom[i], bottom[j], top[j], top[i]]), 0.0, shade + 0.05 * i)
        for i, j in ((0, 1), (1, 2), (2, 3), (3, 0))
    ]
    return [*sides, Part(top, 0.0, 1.6 * shade)]
