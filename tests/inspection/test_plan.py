import pytest

from vae_jax.inspection import Settings, plan


def test_auto_needs_a_detector_that_knows(brightness):
    with pytest.raises(ValueError, match="does not say how large"):
        plan.cut(Settings(tile="auto"), brightness)


def test_without_a_folder_nothing_is_drawn(brightness, tmp_path):
    assert plan.make_plan(Settings(), brightness, root=tmp_path).marks is None
    drawn = plan.make_plan(Settings(), brightness, root=tmp_path, out=tmp_path / "out")
    assert drawn.marks is not None
    assert drawn.marks.folder == tmp_path / "out"


@pytest.mark.parametrize("bits", [10**9, 0, 12.0, "12", None, True])
def test_bits_that_a_file_cannot_have(brightness, tmp_path, bits):
    """The decoder would take two to their power."""
    brightness.metadata["about"] = {"data": {"bits": bits}}
    with pytest.raises(ValueError, match=r"not a whole number from 8 to 16"):
        plan.make_plan(Settings(), brightness, root=tmp_path)


@pytest.mark.parametrize("size", [5, "50", [40], [40, -50], [40, 1.5], [[], []], {}])
def test_a_native_size_that_is_none(brightness, size):
    brightness.metadata["about"] = {"data": {"native_size": size}}
    with pytest.raises(ValueError, match=r"not a height and a width; give a side"):
        plan.cut(Settings(tile="auto"), brightness)


def test_what_others_say_of_their_data_is_theirs(brightness, tmp_path):
    brightness.metadata["about"] = {"data": "screws of May"}
    assert plan.make_plan(Settings(), brightness, root=tmp_path).bits == 16
