"""Findings, one by one, of any detector that maps and is calibrated."""

import numpy as np
import pytest
from PIL import Image

from vae_jax import inspection
from vae_jax.inspection import Failed, Finding, Settings


def write(folder, name, value, *, size=(50, 40)):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    Image.new("L", size, value).save(path)
    return path


@pytest.fixture
def parts(tmp_path):
    """Two dark images and a bright one, in folders."""
    for name, value in {"a.png": 10, "b.tif": 20, "below/z.png": 200}.items():
        write(tmp_path, name, value)
    return tmp_path


def test_scores_verdicts_and_maps_come_one_by_one(brightness, parts):
    settings = Settings(recursive=True)
    found = list(inspection.inspect(brightness, parts, settings))
    assert [each.name for each in found] == ["a.png", "b.tif", "below/z.png"]
    assert [each.is_anomalous for each in found] == [False, False, True]
    for each, value in zip(found, (10, 20, 200), strict=True):
        assert isinstance(each, Finding)
        assert each.score == pytest.approx(value / 255)
        assert (each.height, each.width) == (40, 50)
        np.testing.assert_allclose(each.map, np.full((32, 32), value / 255), rtol=1e-6)
    # 10 is the 11th of the 39 scores 0, 1, ..., and 29 of them are as high or higher.
    assert found[0].calibrated_score == pytest.approx(11 / 40)
    assert found[0].p_value == pytest.approx(30 / 40)


def test_nothing_is_written(brightness, parts):
    before = sorted(parts.rglob("*"))
    list(inspection.inspect(brightness, parts, Settings(recursive=True)))
    assert sorted(parts.rglob("*")) == before


def test_a_path_several_and_patterns_will_do(brightness, parts):
    one = inspection.inspect(brightness, parts / "a.png")
    several = inspection.inspect(brightness, [parts / "b.tif", str(parts / "*.png")])
    assert [each.name for each in one] == ["a.png"]
    assert [each.name for each in several] == ["a.png", "b.tif"]


def test_what_is_passed_over_is_told_by_a_warning(brightness, parts):
    (parts / "c.tga").touch()
    with pytest.warns(UserWarning, match=r"1 file not .*\(c\.tga\), 1 .*\(below;"):
        found = inspection.inspect(brightness, parts)
    assert [each.name for each in found] == ["a.png", "b.tif"]


def test_marked_pixels_are_those_that_reach_the_threshold(brightness, parts):
    settings = Settings(pixel_threshold="0.06", image_threshold="0.07")
    dark, bright = inspection.inspect(brightness, parts.glob("*.*"), settings)
    assert (dark.marked_share, bright.marked_share) == (0, 1)
    assert (dark.is_anomalous, bright.is_anomalous) == (False, True)


def test_the_map_of_an_image_in_tiles_has_its_size(brightness, tmp_path):
    write(tmp_path, "long.png", 40, size=(100, 60))
    (found,) = inspection.inspect(brightness, tmp_path, Settings(tile=40, overlap=10))
    assert found.tiles == 3 * 2
    assert found.map.shape == (60, 100)


def test_what_cannot_be_read_is_yielded_with_its_reason(brightness, parts):
    (parts / "broken.png").write_text("no image")
    found = list(inspection.inspect(brightness, parts.glob("*.*")))
    (failed,) = [each for each in found if isinstance(each, Failed)]
    assert failed.name == "broken.png"
    assert "broken.png" in failed.reason


def test_mistakes_are_told_at_once_and_not_with_the_first_image(brightness, tmp_path):
    with pytest.raises(ValueError, match="there is no image in"):
        inspection.inspect(brightness, tmp_path)
    write(tmp_path, "a.png", 1)
    with pytest.raises(ValueError, match=r"--image-threshold\): a rule is auto"):
        inspection.inspect(brightness, tmp_path, Settings(image_threshold="often"))
    with pytest.raises(ValueError, match="--overlap needs --tile"):
        Settings(overlap=3)


def test_what_is_not_there_is_named():
    with pytest.raises(AttributeError, match="no attribute 'inspekt'"):
        inspection.inspekt  # noqa: B018
    assert all(hasattr(inspection, name) for name in inspection.__all__)
