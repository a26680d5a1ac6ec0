import pytest

from vae_jax.data import layout, prepared, survey


def test_it_says_what_the_files_are_like(data_dir, write_png):
    screw = data_dir / "screw"
    write_png(screw / "train/good/000.png", mode="RGB", side=50)
    write_png(screw / "test/good/000.png", side=33)
    write_png(screw / "ground_truth/cut/003_mask.png", 1)
    files = layout.list_category(data_dir, "screw")
    found = survey.survey(files)
    assert found == {
        **prepared.hash_contents(files.files),
        "images": 12,
        "shortest_side": 33,
        "gray_images": 11,
        "native_size": [40, 40],
        "headers": [[40, 40, 1], [50, 50, 3]],
        "bits": 0,
        "unusual_masks": 1,
    }


@pytest.mark.parametrize(
    ("sizes", "middle"),
    [
        ([(9, 5)], (9, 5)),
        ([(64, 64), (50, 40), (50, 40)], (50, 40)),
        ([(30, 40), (40, 30)], (30, 30)),
    ],
)
def test_the_middle_size_does_not_depend_on_the_order(sizes, middle):
    assert survey.middle_size(sizes) == survey.middle_size(sizes[::-1]) == middle
