import dataclasses
import hashlib
import threading

import numpy as np
import pytest
from PIL import Image

from vae_jax.inspection import stream
from vae_jax.inspection.marking import Marks, Scale
from vae_jax.inspection.plan import Plan, Thresholds, Tiles
from vae_jax.inspection.stream import Failed, Inspected, look_at


@pytest.fixture
def plan(tmp_path, brightness):
    scale = Scale(0.0, 1.0)
    marks = Marks(tmp_path / "out", map_scale=scale, colours=scale)
    root = tmp_path / "in"
    root.mkdir()
    return Plan(brightness, root, Thresholds(0.5, 0.5), marks)


def write(plan, name, value, *, size=(50, 40)):
    Image.new("L", size, value).save(plan.root / name)
    return name


def codes(plan, name):
    return np.asarray(Image.open(plan.marks.file("maps", name)))


def test_every_image_gets_its_own_score_map_and_size(plan):
    names = [write(plan, f"{i}.png", 5 * i, size=(40 + i, 35)) for i in range(11)]
    found = list(look_at(plan, names))
    assert [each.name for each in found] == names
    for i, each in enumerate(found):
        assert isinstance(each, Inspected)
        assert each.score == pytest.approx(5 * i / 255)
        assert (each.height, each.width, each.tiles) == (35, 40 + i, 1)
        assert min(each.seconds) > 0
        assert codes(plan, each.name).shape == (35, 40 + i)
        np.testing.assert_allclose(codes(plan, each.name), 257 * 5 * i, atol=1)
    assert plan.detector.batches == [4, 4, 3]


def test_a_finding_has_the_digest_of_the_bytes_that_it_is_of(plan):
    name = write(plan, "a.png", 1)
    (found,) = look_at(plan, [name])
    content = (plan.root / name).read_bytes()
    assert found.sha256 == hashlib.sha256(content).hexdigest()


def test_a_camera_of_12_bits_is_read_as_in_training(plan):
    wide = np.full((40, 50), 2048, np.uint16)
    Image.fromarray(wide).save(plan.root / "wide.png")
    scores = [
        next(look_at(dataclasses.replace(plan, bits=bits), ["wide.png"]))
        for bits in (12, 16)
    ]
    assert [round(255 * each.score) for each in scores] == [128, 8]


def test_the_marked_share_is_that_of_the_pixels(plan):
    half = np.zeros((64, 64), np.uint8)
    half[:32] = 255
    Image.fromarray(half).save(plan.root / "half.png")
    (found,) = look_at(plan, ["half.png"])
    assert found.marked_share == pytest.approx(0.5, abs=0.02)


def test_what_cannot_be_read_is_named_in_its_place(plan):
    names = [write(plan, f"{i}.png", 10 * i) for i in range(9)]
    (plan.root / names[2]).write_bytes(b"")
    (plan.root / names[5]).write_text("no image")
    write(plan, names[7], 1, size=(20, 20))  # too small
    found = list(look_at(plan, names))
    failed = [i for i, each in enumerate(found) if isinstance(each, Failed)]
    assert failed == [2, 5, 7]
    assert [each.name for each in found] == names
    assert all(found[i].name in found[i].reason for i in failed)
    assert "20x20" in found[7].reason
    assert not plan.marks.file("maps", names[2]).exists()


def test_a_batch_without_a_readable_image_is_not_mapped(plan):
    names = ["gone.png", "away.png"]
    assert all(isinstance(x, Failed) for x in look_at(plan, names))
    assert plan.detector.batches == []


def test_a_map_that_is_not_finite_is_no_verdict(plan, monkeypatch):
    def broken(images):
        return np.full(images.shape[:3], np.nan, np.float32)

    write(plan, "a.png", 1)
    monkeypatch.setattr(plan.detector, "maps", broken)
    (found,) = look_at(plan, ["a.png"])
    assert isinstance(found, Failed)
    assert "NaN" in found.reason


def test_a_name_too_long_for_its_pictures_is_one_image_s_trouble(plan):
    long = "x" * 246 + ".png"
    found = list(look_at(plan, [write(plan, long, 1), write(plan, "a.png", 1)]))
    assert isinstance(found[0], Failed)
    assert isinstance(found[1], Inspected)


def test_a_full_disk_ends_it(plan, monkeypatch):
    names = [write(plan, f"{i}.png", 1) for i in range(9)]

    def fill_the_disk(image, path, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        list(look_at(plan, names))


@pytest.mark.parametrize("in_flight", [1, 5000, 12000])
def test_memory_is_bounded_by_pixels(plan, monkeypatch, in_flight):
    """Of 2,000 pixels each, no more are read and unwritten than may be, but one."""
    monkeypatch.setattr(stream, "PIXELS_IN_FLIGHT", in_flight)
    held, most, lock = 0, 0, threading.Lock()
    read, write_files = stream._read, stream._write

    def count(change):
        nonlocal held, most
        with lock:
            held += change
            most = max(most, held)

    def counted_read(*args):
        count(1)
        return read(*args)

    def counted_write(*args):
        written = write_files(*args)
        count(-1)
        return written

    names = [write(plan, f"{i}.png", i) for i in range(10)]
    monkeypatch.setattr(stream, "_read", counted_read)
    monkeypatch.setattr(stream, "_write", counted_write)
    assert [each.name for each in look_at(plan, names)] == names
    assert most <= max(1, in_flight // 2000)


def in_tiles(plan, side, overlap):
    return dataclasses.replace(plan, tiles=Tiles(side, overlap))


@pytest.mark.parametrize("size", [(300, 200), (64, 64), (50, 300)])
def test_a_constant_image_in_tiles_has_a_constant_map(plan, size):
    write(plan, "a.png", 77, size=size)
    (found,) = look_at(in_tiles(plan, 64, 16), ["a.png"])
    assert found.score == pytest.approx(77 / 255)
    assert codes(plan, "a.png").shape == size[::-1]
    np.testing.assert_allclose(codes(plan, "a.png"), 77 * 257, atol=1)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (400, 31), (31, 400)])
def test_an_image_too_small_to_be_seen_whole_is_not_seen_in_tiles(plan, size):
    """Tiles of it would be its reflections."""
    write(plan, "a.png", 77, size=size)
    write(plan, "b.png", 77, size=(32, 400))
    small, narrow = look_at(in_tiles(plan, 64, 16), ["a.png", "b.png"])
    assert isinstance(small, Failed)
    assert f"a.png is {size[1]}x{size[0]} pixels, smaller than" in small.reason
    assert isinstance(narrow, Inspected)


def test_tiles_of_the_model_s_size_see_every_pixel(plan):
    """The brightness map of an image in tiles is the image: nothing is resized."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (75, 110), dtype=np.uint8)
    Image.fromarray(pixels).save(plan.root / "a.png")
    (found,) = look_at(in_tiles(plan, 32, 8), ["a.png"])
    np.testing.assert_allclose(codes(plan, "a.png") / 257, pixels, atol=0.01)
    assert found.tiles == 3 * 5
    assert plan.detector.batches == [4, 4, 4, 3]


def test_the_score_of_tiles_is_the_highest(plan):
    pixels = np.full((100, 100), 10, np.uint8)
    pixels[90:, 90:] = 255
    Image.fromarray(pixels).save(plan.root / "a.png")
    (found,) = look_at(in_tiles(plan, 32, 0), ["a.png"])
    assert found.score == pytest.approx(1)


def test_those_that_wait_are_not_begun_when_nobody_asks_further(plan):
    names = [write(plan, f"{i:02}.png", 1) for i in range(40)]
    found = look_at(plan, names)
    next(found)
    found.close()
    assert not plan.marks.file("maps", names[-1]).exists()
