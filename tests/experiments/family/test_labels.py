import json

import numpy as np
import pytest

from experiments import cvae, semi_supervised
from experiments.family.draws import Draws, balanced
from experiments.family.settings import Family

LABELS = np.repeat(np.arange(10), 12)


def test_labelled_examples_are_balanced_and_of_their_seed():
    chosen = balanced(LABELS, 50, seed=3)
    assert np.bincount(LABELS[chosen]).tolist() == 10 * [5]
    assert len(set(chosen.tolist())) == 50
    np.testing.assert_array_equal(chosen, balanced(LABELS, 50, seed=3))
    assert not np.array_equal(chosen, balanced(LABELS, 50, seed=4))


def test_every_number_has_a_run_of_every_seed():
    draws = Draws.of(LABELS, [20, 50], Family("x", epochs=1, seed=4, seeds=2))
    assert draws.numbers == [20, 20, 50, 50]
    assert draws.seeds == [4, 5, 4, 5]
    assert draws.places.shape == (4, 50)
    np.testing.assert_array_equal(draws.of_run(1), balanced(LABELS, 20, seed=5))


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (25, "multiples of the 10 classes, got 25"),
        (0, "got 0"),
        (200, "200 labels want 20 of each class, but there are only 12 of one"),
    ],
)
def test_numbers_that_cannot_be_balanced_are_refused(number, message):
    with pytest.raises(ValueError, match=message):
        balanced(LABELS, number, seed=0)


@pytest.mark.slow
def test_a_few_labels_and_many_images_beat_the_labels_alone(tmp_path, capsys):
    config = semi_supervised.Config(
        labels=(50,),
        m1_epochs=40,
        family=Family(str(tmp_path), epochs=60, batch_size=50, seeds=2),
    )
    semi_supervised.main(config)
    errors = json.loads((tmp_path / "results.json").read_text())["errors"]
    assert np.mean(errors["M2"]) < np.mean(errors["network on pixels"])
    assert (tmp_path / "maps.png").exists()
    assert "With 50 labels" in capsys.readouterr().out


@pytest.mark.slow
def test_generated_digits_are_of_the_class_asked_for(tmp_path):
    family = Family(str(tmp_path), epochs=60)
    (row,) = cvae.main(cvae.Config(generated=200, prior="class", family=family))
    assert row["asked"] > 90
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png") == 4
