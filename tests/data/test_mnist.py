import os

import numpy as np
import pytest

from vae_jax.data import mnist
from vae_jax.data.layout import GOOD


@pytest.fixture(scope="module")
def digits():
    return mnist.load_digits(None)


def test_all_digits_are_one_normal_category(digits):
    data = mnist.all_digits(digits, seed=0)
    seen = np.concatenate([data.train, data.validation])
    assert len(data.validation) == round(0.1 * len(seen))
    assert sorted(map(bytes, seen)) == sorted(map(bytes, digits.train_images))
    np.testing.assert_array_equal(data.test.images, digits.test_images)
    assert not data.test.is_anomalous.any()
    assert not data.test.masks.any()
    assert data.sha256 != mnist.one_digit(digits, 0, seed=0).sha256
    larger = data.at_size(32)
    assert larger.train.shape == (len(data.train), 32, 32, 1)
    assert larger.test.masks.shape == (len(digits.test_images), 32, 32)


@pytest.mark.parametrize("digit", [0, 1, 9])
def test_one_digit_is_normal_and_strokes_are_its_defects(digits, digit):
    data = mnist.one_digit(digits, digit, seed=0)
    own = digits.train_images[digits.train_labels == digit]
    seen = np.concatenate([data.train, data.validation])
    assert len(data.validation) == round(0.1 * len(own))
    assert sorted(map(bytes, seen)) == sorted(map(bytes, own))
    test, clean = data.test, digits.test_images[digits.test_labels == digit]
    assert test.defects[:4] == (GOOD, "pasted", GOOD, "erased")
    np.testing.assert_array_equal(test.masks.any(axis=(1, 2)), test.is_anomalous)
    np.testing.assert_array_equal(test.images[~test.masks], clean[~test.masks])
    assert (test.images[test.masks] != clean[test.masks]).all()
    assert data.category == f"digit{digit}"


def test_the_seed_chooses_the_validation_images_alone(digits):
    first, again, other = (mnist.one_digit(digits, 3, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.validation, again.validation)
    assert not np.array_equal(first.validation, other.validation)
    np.testing.assert_array_equal(first.test.images, other.test.images)
    assert first.sha256 == other.sha256
    assert first.sha256 != mnist.one_digit(digits, 4, seed=0).sha256


def test_another_size_is_the_same_images_enlarged(digits):
    data = mnist.one_digit(digits, 3, seed=5)
    large = data.at_size(56)
    assert large.train.shape == (len(data.train), 56, 56, 1)
    assert large.test.defects == data.test.defects
    np.testing.assert_array_equal(large.test.masks[:, ::2, ::2], data.test.masks)
    np.testing.assert_array_equal(large.test.masks[:, 1::2, 1::2], data.test.masks)
    assert [m.shape for m in large.test.native_masks] == [(28, 28)] * len(
        large.test.masks
    )
    means = [np.asarray(x.validation).mean(axis=(1, 2, 3)) for x in (data, large)]
    np.testing.assert_allclose(*means, rtol=0.02)
    back = large.at_size(28)
    np.testing.assert_array_equal(back.train, data.train)


def test_what_cannot_be_made_is_refused(digits):
    with pytest.raises(ValueError, match="no digit 10; known: 0, 1, 2"):
        mnist.one_digit(digits, 10, seed=0)
    with pytest.raises(ValueError, match=r"at least the 28 pixels .* got 27"):
        mnist.one_digit(digits, 3, size=27, seed=0)


@pytest.mark.data
@pytest.mark.skipif("VAE_JAX_TFDS" not in os.environ, reason="VAE_JAX_TFDS is not set")
def test_strokes_on_mnist():
    digits = mnist.load_digits(os.environ["VAE_JAX_TFDS"])
    data = mnist.one_digit(digits, 1, seed=0)
    np.testing.assert_array_equal(
        data.test.masks.any(axis=(1, 2)), data.test.is_anomalous
    )
