"""A walkway seen by a fixed camera, in the layout of UCSD Ped1.

It stands in where the real set is not at hand, and is called synthetic everywhere.
People walk; what is anomalous is faster (a cyclist, a skater), larger (a cart) or of
another shape (a wheelchair). Frames, masks and label file have the formats of the real
set, and stray files lie where they lie in it.
"""

import dataclasses
import functools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image
from scipy import ndimage

from vae_jax.data import drawing, synthetic
from vae_jax.data.drawing import Field
from vae_jax.data.synthetic.walkway import camera, figures, furniture
from vae_jax.data.synthetic.walkway.figures import Looks, Part, Point, Pose

__all__ = ["TEST_CLIPS", "VERSION", "Frame", "render_clip", "write_walkway"]

VERSION = 1
"""Of what is drawn: raised when the same seed gives another frame."""
ROOT = "UCSD_Anomaly_Dataset.v1p2/UCSDped1"
SECONDS = 4.0
"""Of a clip, whatever the number of its frames."""
FREE_HALF_WIDTH = 0.9
"""Of the lane that people keep off, in metres."""
NOISE = 0.008
"""Standard deviation of the camera's noise."""


class Crossing(NamedTuple):
    """Something anomalous, which passes the near edge of the picture."""

    pose: Pose
    speed: float
    """In metres a second; negative towards the camera."""
    at: float
    """When it passes, as a share of the clip."""


class TestClip(NamedTuple):
    """What happens in a test clip, and whether its masks are published."""

    __test__ = False  # not a test class for pytest

    crossings: tuple[Crossing, ...]
    has_masks: bool


TEST_CLIPS = (
    TestClip((Crossing(figures.cyclist, 5.0, 0.4),), True),
    TestClip((Crossing(figures.cart, -3.5, 0.6),), False),
    TestClip((Crossing(figures.skater, 3.4, 0.45),), True),
    TestClip((Crossing(figures.cart, 3.2, 0.5),), True),
    TestClip(
        (Crossing(figures.skater, -3.6, 0.35), Crossing(figures.cyclist, 4.6, 0.65)),
        False,
    ),
    TestClip((Crossing(figures.wheelchair, -1.5, 0.5),), True),
)


@dataclasses.dataclass(frozen=True)
class Mover:
    """Somebody or something on its straight way."""

    pose: Pose
    looks: Looks
    start: Point
    velocity: Point

    @property
    def is_anomalous(self) -> bool:
        """True for all but walkers."""
        return self.pose is not figures.walker

    def parts(self, seconds: float) -> list[Part]:
        """Where its parts are at a time."""
        speed = float(np.linalg.norm(self.velocity))
        place = self.start + seconds * self.velocity
        parts = self.pose(self.looks, speed * seconds, self.velocity / speed)
        return [part._replace(points=part.points + place) for part in parts]


class Frame(NamedTuple):
    """What the camera sees; the mask is what is visible of anything anomalous."""

    image: UInt8[np.ndarray, "height width"]
    mask: Bool[np.ndarray, "height width"]


def write_walkway(
    folder: str | Path, *, seed: int = 0, frames: int = 20, train: int = 24
) -> Path:
    """Writes the set once, whole or not at all, and returns `folder`.

    The same arguments give the same bytes; a folder that holds them is left as it is.

    Args:
        folder: where `UCSD_Anomaly_Dataset.v1p2` goes; missing, empty, or written by
            this function.
        seed: of everything drawn.
        frames: of each clip.
        train: training clips; what happens in the six test clips is always the same.

    Raises:
        ValueError: `folder` holds something else, or too little is asked for.
        OSError: `folder` cannot be written.
    """
    if frames < 8 or train < 2:
        raise ValueError(
            "write_walkway: wanted frames >= 8 and train >= 2, got "
            f"{frames} and {train}."
        )
    settings = {
        "set": "walkway",
        "version": VERSION,
        "seed": seed,
        "frames": frames,
        "train": train,
    }
    fill = functools.partial(_write, seed=seed, frames=frames, train=train)
    return synthetic.write_once(folder, settings, fill)


def render_clip(name: str, *, seed: int, frames: int) -> list[Frame]:
    """Draws a clip, such as "Train001"; it depends on the arguments alone."""
    sequence = np.random.SeedSequence((seed, zlib.crc32(name.encode())))
    rng, camera_rng = map(np.random.default_rng, sequence.spawn(2))
    background = _background(seed)
    # People keep off it, in training clips too, where nothing comes along.
    lane = rng.uniform(-0.5, 0.5) * camera.HALF_WIDTH
    movers = [*_walkers(rng, lane), *_anomalies(rng, name, lane)]
    exposure = camera_rng.normal(1.0, 0.02)
    return [
        _expose(background, movers, camera_rng, exposure, index / frames * SECONDS)
        for index in range(frames)
    ]


@functools.cache
def _background(seed: int) -> Field:
    """The scene of all clips, without anybody in it."""
    rng = np.random.default_rng((seed, 0))
    plants = [
        furniture.bush(rng, np.array([x, 0.0, z]))
        for x, z in ((-4.9, 15.5), (-5.5, 24.0), (-4.8, 33.0), (5.2, 22.0), (5.0, 35.0))
    ]
    things = [*plants, furniture.lamp(np.array([3.9, 0.0, 27.0]))]
    return camera.paint(
        camera.draw_ground(rng), things, is_marked=[False] * len(things)
    ).picture


def _walkers(rng: np.random.Generator, lane: float) -> Iterator[Mover]:
    """People along the walkway, on the right more often than on the left."""
    for _ in range(rng.integers(9, 15)):
        speed = rng.choice([-1.0, 1.0]) * rng.normal(1.3, 0.15)
        x = lane
        while abs(x - lane) < FREE_HALF_WIDTH:
            x = np.sign(speed) * rng.uniform(-0.3, 0.9) * camera.HALF_WIDTH
        z = rng.uniform(camera.NEAR, camera.FAR + 3.0) - speed * SECONDS / 2
        velocity = np.array([rng.normal(0.0, 0.05), 0.0, speed])
        looks = figures.draw_looks(rng)
        yield Mover(figures.walker, looks, np.array([x, 0.0, z]), velocity)


def _anomalies(rng: np.random.Generator, name: str, lane: float) -> Iterator[Mover]:
    if name.startswith("Train"):
        return
    for pose, speed, at in TEST_CLIPS[int(name.removeprefix("Test")) - 1].crossings:
        z = camera.NEAR - speed * at * SECONDS
        start, velocity = np.array([lane, 0.0, z]), np.array([0.0, 0.0, speed])
        yield Mover(pose, figures.draw_looks(rng), start, velocity)


def _expose(
    background: Field,
    movers: list[Mover],
    rng: np.random.Generator,
    exposure: float,
    seconds: float,
) -> Frame:
    """A frame as recorded: slightly out of focus, flickering, noisy."""
    picture, marked = camera.paint(
        background,
        [mover.parts(seconds) for mover in movers],
        is_marked=[mover.is_anomalous for mover in movers],
    )
    light = exposure + rng.normal(0.0, 0.004)
    noise = rng.normal(0.0, NOISE, size=picture.shape)
    recorded = ndimage.gaussian_filter(picture, 0.5) * light + noise
    image = np.rint(255 * np.clip(recorded, 0.0, 1.0)).astype(np.uint8)
    return Frame(image, marked > drawing.LEAST_COVERAGE)


def _write(whole: Path, *, seed: int, frames: int, train: int) -> None:
    root = whole / ROOT

    def write_clip(name: str) -> Bool[np.ndarray, " frame"]:
        return _write_clip(root, name, render_clip(name, seed=seed, frames=frames))

    for number in range(1, train + 1):
        write_clip(f"Train{number:03}")
    tests = range(1, len(TEST_CLIPS) + 1)
    labels = [write_clip(f"Test{number:03}") for number in tests]
    lines = [f"TestVideoFile{{end+1}}.gt_frame = [{_ranges(each)}];" for each in labels]
    text = "\n".join(["TestVideoFile = {};", *lines, ""])
    (root / "Test" / "UCSDped1.m").write_text(text)
    # As they lie in the published folder: a reader must pass over them.
    (root / "Test" / "UCSDped1.m~").write_text(text.replace("1", "2"))
    for stray in ("Test/.DS_Store", "Test/._UCSDped1.m", "Train/Train001/.DS_Store"):
        (root / stray).write_bytes(b"\0\0\0\1Bud1")


def _write_clip(
    root: Path, name: str, frames: list[Frame]
) -> Bool[np.ndarray, " frame"]:
    """Writes frames, and masks where they are published; says what is anomalous."""
    split = name.rstrip("0123456789")
    number = int(name.removeprefix(split))
    folder = root / split / name
    folder.mkdir(parents=True)
    for index, frame in enumerate(frames, 1):
        Image.fromarray(frame.image).save(folder / f"{index:03}.tif")
    if split == "Test" and TEST_CLIPS[number - 1].has_masks:
        masks = root / split / f"{name}_gt"
        masks.mkdir()
        for index, frame in enumerate(frames, 1):
            mask = Image.fromarray(frame.mask.astype(np.uint8) * np.uint8(255))
            mask.save(masks / f"{index:03}.bmp")  # with a palette, as published
    return np.array([frame.mask.any() for frame in frames])


def _ranges(labels: Bool[np.ndarray, " frame"]) -> str:
    """The stretches that are True as MATLAB writes them, numbered from 1."""
    changes = np.flatnonzero(np.diff(labels, prepend=False, append=False))
    stretches = changes.reshape(-1, 2)
    return ", ".join(f"{first + 1}:{last}" for first, last in stretches)
