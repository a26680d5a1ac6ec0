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
