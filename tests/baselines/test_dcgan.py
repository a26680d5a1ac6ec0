"""Facts about the GAN: its sizes, its start, and whose gradient is whose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.baselines import dcgan

GAN = dcgan.dcgan(image_size=16, channels=1, latents=3, width=4)


def initial(gan):
    return jax.jit(lambda key: dcgan.init(gan, key=key))(jax.random.key(0))


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_the_networks_are_as_large_as_the_published_ones():
    gan = dcgan.dcgan(image_size=64, channels=3, latents=100, width=64)
    params, statistics = jax.eval_shape(lambda: initial(gan))
    # Kernels and norms; biases where no norm follows, and of the dense layer.
    norms = 2 * (512 + 256 + 128 + 64)
    kernels = 16 * (100 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 3)
    assert count(params["generator"]) == kernels + norms + 16 * 512 + 3
    norms = 2 * (512 + 256 + 128)
    kernels = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512)
    assert count(params["discriminator"]) == kernels + norms + 64 + 1
    assert count(statistics["generator"]) == 2 * (512 + 256 + 128 + 64)


def test_kernels_begin_normal_with_deviation_one_fiftieth():
    gan = dcgan.dcgan(image_size=16, channels=1, latents=64, width=32)
    params, _ = initial(gan)
    leaves = jax.tree_util.tree_leaves_with_path(params)
    kernels = [np.ravel(leaf) for path, leaf in leaves if path[-1].key == "kernel"]
    assert len(kernels) == 6
    values = np.concatenate(kernels) / 0.02
    np.testing.assert_allclose([values.mean(), values.std()], [0, 1], atol=0.01)
    # A normal has 4.55 % beyond two deviations, a uniform none.
    np.testing.assert_allclose(np.mean(np.abs(values) > 2), 0.0455, atol=0.005)


@pytest.fixture(scope="module")
def start():
    """Parameters far from their start, so that no gradient is small."""
    params, statistics = initial(GAN)
    noise = np.random.default_rng(0)
    params = jax.tree.map(
        lambda x: x + 0.3 * noise.normal(size=x.shape).astype(np.float32), params
    )
    return params, statistics


def test_the_generator_draws_images_in_the_unit_interval(start):
    params, statistics = start
    variables = {name: {"params": params[name], **statistics[name]} for name in params}
    latents = 5 * jax.random.normal(jax.random.key(1), (8, 3))
    images = dcgan.draw(GAN, variables, latents)
    assert images.shape == (8, 16, 16, 1)
    assert 0 <= images.min() < 0.3 < 0.7 < images.max() <= 1
    judgement = dcgan.judge(GAN, variables, images)
    assert judgement.logits.shape == (8,)
    assert judgement.features.shape == (8, 4, 4, 8)


def value_and_gradient(function):
    return jax.jit(jax.value_and_grad(function, has_aux=True))


def play(name, params, statistics, inputs):
    variables = {"params": params, **statistics}
    player = getattr(GAN, name)
    return player.apply(variables, inputs, train=True, mutable=["batch_stats"])


def test_each_player_moves_by_its_own_loss_alone(start):
    """The one gradient is made of those of two losses, each of one player."""
    params, statistics = start
    images = jax.random.uniform(jax.random.key(1), (6, 16 * 16)).reshape(6, 16, 16, 1)
    key = jax.random.key(7)
    (total, aux), gradient = value_and_gradient(dcgan.make_loss_fn(GAN))(
        params, statistics, {"image": images}, key=key, step=jnp.zeros((), jnp.int32)
    )
    latents = jax.random.normal(key, (6, 3))
    judged = statistics["discriminator"]

    def of_generator(own):
        drawn, changed = play("generator", own, statistics["generator"], latents)
        judgement, _ = play("discriminator", params["discriminator"], judged, drawn)
        return -jnp.log(jax.nn.sigmoid(judgement.logits)).mean(), (drawn, changed)

    (generator_loss, (drawn, changed)), expected = value_and_gradient(of_generator)(
        params["generator"]
    )
    assert_close(gradient["generator"], expected)
    assert_close(aux.model_state["generator"], changed)

    def of_discriminator(own):
        real, changed = play("discriminator", own, judged, images)
        unreal, changed = play("discriminator", own, changed, drawn)
        right = jax.nn.sigmoid(real.logits), 1 - jax.nn.sigmoid(unreal.logits)
        return -(jnp.log(right[0]) + jnp.log(right[1])).mean(), changed

    (discriminator_loss, changed), expected = value_and_gradient(of_discriminator)(
        params["discriminator"]
    )
    assert_close(gradient["discriminator"], expected)
    assert_close(aux.model_state["discriminator"], changed)
    np.testing.assert_allclose(total, generator_loss + discriminator_loss, rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["generator_loss"], generator_loss, rtol=1e-5)


def assert_close(tree, expected):
    def check(one, other):
        assert np.abs(other).max() > 0
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)

    jax.tree.map(check, tree, expected)


@pytest.mark.parametrize("size", [8, 24, 100])
def test_other_sizes_are_refused(size):
    with pytest.raises(ValueError, match=f"dcgan: .* power of two.* got {size}\\."):
        dcgan.dcgan(image_size=size, channels=1, latents=3, width=4)
