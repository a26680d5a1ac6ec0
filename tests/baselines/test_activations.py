import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.baselines import resnet18

NETWORK = resnet18.build(resnet18.random_weights(seed=0), image_size=28)
IMAGES = jax.random.uniform(jax.random.key(0), (2, 28, 28, 1))


def test_activations_are_rectified_and_halve_from_stage_to_stage():
    found = resnet18.activations(NETWORK, IMAGES, stages=4)
    shapes = [x.shape[1:] for x in found]
    assert shapes == [(14, 14, 64), (7, 7, 64), (4, 4, 128), (2, 2, 256), (1, 1, 512)]
    assert all(float(x.min()) >= 0 for x in found)
    pooled = resnet18.features(NETWORK, IMAGES)
    np.testing.assert_allclose(found[-1].mean((1, 2)), pooled, rtol=1e-6)


def test_fewer_stages_are_the_first_ones():
    some, all_of_them = (
        resnet18.activations(NETWORK, IMAGES, stages=stages) for stages in (1, 4)
    )
    assert len(some) == 2
    for x, y in zip(some, all_of_them, strict=False):
        np.testing.assert_array_equal(x, y)


def test_an_image_may_be_moved_by_its_activations():
    def energy(images):
        return jnp.square(resnet18.activations(NETWORK, images, stages=1)[-1]).sum()

    value, gradient = jax.value_and_grad(energy)(IMAGES)
    assert energy(IMAGES - 1e-4 * gradient / jnp.abs(gradient).max()) < value
