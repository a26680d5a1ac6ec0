import numpy as np
import pytest

from experiments import choice, methods
from experiments.explainer import Explainer

EXPLAINER = Explainer(None, None, None, "tap", 1.0)


@pytest.fixture
def normals():
    return np.random.default_rng(0).integers(60, 200, (40, 32, 32, 1)).astype(np.uint8)


@pytest.mark.parametrize("best", methods.CANDIDATES)
def test_the_candidate_that_finds_artificial_defects_is_chosen(
    normals, monkeypatch, best
):
    """One method marks what was pasted, the others what was not.

    The images are spread over those held out, of which the first may all be alike.
    """
    shown = normals[np.rint(np.linspace(0, 39, 32)).astype(int)]

    def make_maps(names, explainer, fitted, images):
        del explainer, fitted
        original = np.concatenate([shown, shown.repeat(7, axis=0)])
        found = (images != original).any(-1).astype(np.float32)
        return {name: found if name == best else 1 - found for name in names}

    monkeypatch.setattr(choice, "make_maps", make_maps)
    chosen = choice.choose(EXPLAINER, None, normals, seed=0)
    assert chosen.choice == best
    assert chosen.tap == EXPLAINER.tap


def test_candidates_are_methods_and_the_first_stands_in_where_nothing_was_chosen():
    assert set(methods.CANDIDATES) < set(methods.METHODS)
    assert EXPLAINER.choice == methods.CANDIDATES[0]
