import os
import sys

import numpy as np
import pytest
from sklearn import datasets

from vae_jax.data import image_sets

FOLDER = os.environ.get("VAE_JAX_TFDS")


def test_the_embedded_set_is_that_of_scikit_learn():
    digits = image_sets.load()
    original = datasets.load_digits()
    assert digits.source == "scikit-learn digits, 8x8 upscaled"
    assert len(digits.train_images) + len(digits.test_images) == 1797
    labels = np.concatenate([digits.train_labels, digits.test_labels])
    np.testing.assert_array_equal(labels, original.target)
    images = np.concatenate([digits.train_images, digits.test_images])
    assert images.shape == (1797, 28, 28, 1)
    assert images.dtype == np.uint8
    assert digits.image_shape == (28, 28, 1)
    # Enlarging keeps the amount of ink, by area; the margin has none.
    ink = original.images.mean(axis=(1, 2)) * 255 / 16 * (20 / 28) ** 2
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), ink, rtol=0.1)
    assert images[:, :4].max() == images[:, :, -4:].max() == 0


def test_without_scikit_learn_it_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ValueError, match="pip install scikit-learn"):
        image_sets.load()


def test_a_folder_without_mnist_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"that holds mnist/3\.0\.1, got none"):
        image_sets.load("mnist", tmp_path)
    (tmp_path / "mnist" / "3.0.1").mkdir(parents=True)
    with pytest.raises(ValueError, match="must hold MNIST as array records") as error:
        image_sets.load("mnist", tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.data
@pytest.mark.skipif(not FOLDER, reason="VAE_JAX_TFDS is not set")
def test_mnist_is_whole():
    calls = []
    digits = image_sets.load("mnist", FOLDER, progress=lambda *args: calls.append(args))
    assert digits.source == "MNIST"
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    np.testing.assert_array_equal(np.bincount(digits.train_labels), counts)
    assert np.bincount(digits.test_labels)[1] == 1135
    assert calls[0] == (1, 70000)
    assert calls[-1] == (70000, 70000)
    # The mean and deviation that everybody normalises with.
    assert digits.train_images.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert digits.train_images.std() / 255 == pytest.approx(0.3081, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("digits", "somewhere"), "need no folder, got somewhere"),
        (("cifar10",), "cifar10 is read from a folder .* that holds cifar10/3.0.2"),
        (("mnits", "somewhere"), "one of digits, mnist, .* got 'mnits'"),
    ],
)
def test_what_is_not_there_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        image_sets.load(*arguments)


@pytest.mark.data
@pytest.mark.skipif(not FOLDER, reason="VAE_JAX_TFDS is not set")
def test_letters_are_white_on_black_and_photographs_in_colour():
    letters = image_sets.load("omniglot", FOLDER)
    assert letters.source == "Omniglot, white on black, 28x28 (small1 and small2)"
    assert letters.train_images.shape == (2720, 28, 28, 1)
    assert letters.test_images.shape == (3120, 28, 28, 1)
    assert 0 < letters.train_images.mean() < 64
    photographs = image_sets.load("cifar10", FOLDER)
    assert photographs.train_images.shape == (50000, 32, 32, 3)
    assert np.bincount(photographs.test_labels).tolist() == 10 * [1000]
