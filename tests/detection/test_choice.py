import numpy as np
import pytest

from vae_jax.data import defects
from vae_jax.detection import choice, methods
from vae_jax.detection.evidence import Evidence
from vae_jax.detection.networks import build_explainer

EXPLAINER = build_explainer(
    "small",
    image_size=32,
    channels=1,
    latents=2,
    width=2,
    likelihood="gaussian",
    noise_scale=0.1,
    tap="conv1",
    blur=1.0,
)
EVIDENCE = Evidence(*[None] * len(Evidence._fields))


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

    def make_maps(names, explainer, evidence, images):
        del explainer, evidence
        original = np.concatenate([shown, shown.repeat(7, axis=0)])
        found = (images != original).any(-1).astype(np.float32)
        return {name: found if name == best else 1 - found for name in names}

    monkeypatch.setattr(choice, "make_maps", make_maps)
    chosen = choice.choose(
        EXPLAINER, EVIDENCE, choice.artificial_defects(normals, seed=0)
    )
    assert chosen.choice == best
    assert chosen.tap == EXPLAINER.tap


def test_candidates_are_methods_and_the_first_stands_in_where_nothing_was_chosen():
    assert set(methods.CANDIDATES) < set(methods.METHODS)
    assert EXPLAINER.choice == methods.CANDIDATES[0]


def test_artificial_defects_keep_the_normal_images_and_mask_what_they_change():
    normal = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1)).astype(np.uint8)
    images, masks = choice.artificial_defects(normal, seed=0)
    np.testing.assert_array_equal(images[:2], normal)
    assert not masks[:2].any()
    assert masks[2:].any((1, 2)).all()
    copies = np.repeat(normal, len(defects.KINDS), axis=0)
    changed = (images[2:] != copies).any(-1)
    assert not changed[~masks[2:]].any()


def test_of_many_held_out_images_some_from_first_to_last_get_defects():
    normal = np.arange(100, 200, dtype=np.uint8)[:, None, None, None]
    images, _ = choice.artificial_defects(normal.repeat(32, 1).repeat(32, 2), seed=0)
    clean = images[: choice.PASTED_ON, 0, 0, 0].tolist()
    assert len(images) == choice.PASTED_ON * (1 + len(defects.KINDS))
    assert clean == sorted(set(clean))
    assert (clean[0], clean[-1]) == (100, 199)
