import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.attention import (
    PAPER,
    POINTWISE,
    Rule,
    attention_maps,
    empty_share,
    explained_forward,
    latents,
    random_pairs,
    strongest_latents,
)
from vae_jax.losses import attention_disentanglement

PER_IMAGE = Rule(grad_norm="rms_image", rectify="abs", rectify_at="channel")
CHOSEN = jnp.array([[0, 1], [2, 1], [1, 0], [0, 2], [2, 0]])
NOISE = jax.random.normal(jax.random.key(2), (5, 3))


def latents_and_decoded(vae, images, noise):
    z = latents(vae, images, noise)
    return z, vae.decode(z)


def explain(model, variables, images, chosen=CHOSEN, *, noise=NOISE, **options):
    """Maps of the chosen latents, and what was decoded on the way."""
    explained = explained_forward(
        model, variables, images, noise, run=latents_and_decoded, **options
    )
    return explained.maps(chosen), explained.output


def mean_overlap(model, variables, images, noise, **options):
    maps, _ = explain(model, variables, images, noise=noise, **options)
    return attention_disentanglement(maps[:, 0], maps[:, 1]).mean()


@pytest.mark.parametrize(
    ("rule", "tap"),
    [(PAPER, "relu2"), (PAPER, "conv1"), (PER_IMAGE, "conv2"), (POINTWISE, "input")],
)
def test_chosen_maps_are_those_of_attention_maps(tiny_vae, images, rule, tap):
    model, variables = tiny_vae()
    options = {"rule": rule, "tap": tap}

    @jax.jit
    def both(variables, images):
        found = explain(model, variables, images, resolution="image", **options)
        return found, attention_maps(model, variables, images, noise=NOISE, **options)

    (maps, decoded), every = both(variables, images)
    expected = np.take_along_axis(every, np.array(CHOSEN)[:, :, None, None], axis=1)
    assert (expected > 0).any()
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)
    _, alone = model.apply(variables, images, NOISE, method=latents_and_decoded)
    np.testing.assert_allclose(decoded, alone, rtol=1e-5, atol=1e-6)


def test_maps_may_stay_as_large_as_the_tap(tiny_vae, images):
    model, variables = tiny_vae()
    small, _ = explain(model, variables, images, tap="relu2")
    large, _ = explain(model, variables, images, tap="relu2", resolution="image")
    assert small.shape == (5, 2, 2, 3)
    resized = jax.image.resize(small, large.shape, "bilinear")
    np.testing.assert_allclose(large, resized, rtol=1e-5, atol=1e-7)


def test_maps_and_output_take_one_forward_pass_and_none_through_earlier_layers(
    tiny_vae, images
):
    model, variables = tiny_vae()
    program = jax.make_jaxpr(
        functools.partial(explain, model, tap="relu2"),
    )(variables, images)
    # The two convolutions of the encoder.
    assert str(program).count("= conv_general_dilated[") == 2


def test_the_state_after_the_pass_comes_back(tiny_vae, images):
    model, variables = tiny_vae(norm=True)
    for tap in ("relu2", "input"):
        explained = explained_forward(
            model, variables, images, NOISE,
            run=latents_and_decoded, tap=tap, mutable=["batch_stats"],
        )  # fmt: skip
        assert explained.state.keys() == {"batch_stats"}
        jax.tree.map(
            np.testing.assert_array_equal,
            explained.state["batch_stats"],
            variables["batch_stats"],
        )


@pytest.mark.parametrize("tap", ["relu2", "conv1"])
def test_second_order_gradient_agrees_with_float64_differences(tiny_vae, images, tap):
    with jax.enable_x64(True):
        model, variables = tiny_vae(smooth=True, dtype=jnp.float64)
        wide = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), variables)
        data, noise = jnp.asarray(images, jnp.float64), jnp.asarray(NOISE, jnp.float64)
        rng = np.random.default_rng(0)
        direction = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), wide)

        @jax.jit
        def along(step):
            moved = jax.tree.map(lambda x, d: x + step * d, wide, direction)
            return mean_overlap(model, moved, data, noise, tap=tap)

        slope = jax.jit(jax.grad(along))(0.0)
        difference = (along(1e-6) - along(-1e-6)) / 2e-6
        assert 0.01 < along(0.0) < 0.99
        assert abs(slope) > 1e-3
        np.testing.assert_allclose(slope, difference, rtol=1e-5)


def test_stopped_weights_reach_the_layers_up_to_the_tap_alone(tiny_vae, images):
    model, variables = tiny_vae(smooth=True)

    @functools.partial(jax.jit, static_argnums=1)
    def slope(variables, second_order):
        options = {"tap": "relu2", "second_order": second_order}
        return jax.grad(
            lambda v: mean_overlap(model, v, images, NOISE, **options)
        )(variables)["params"]  # fmt: skip

    def size(tree):
        return sum(float(jnp.abs(x).sum()) for x in jax.tree.leaves(tree))

    stopped, whole = slope(variables, False), slope(variables, True)
    for layer in ("convolution1", "convolution2"):
        assert size(stopped[layer]) > 0
    for layer in ("hidden", "heads"):
        assert size(stopped[layer]) == 0
        assert size(whole[layer]) > 0
    assert size(stopped["output"]) == size(whole["output"]) == 0


def test_runs_side_by_side_are_the_runs_alone(tiny_vae, images):
    model, variables = tiny_vae()
    other = jax.tree.map(lambda x: 1.1 * x, variables)
    overlap = jax.jit(
        lambda v: mean_overlap(model, v, images, NOISE, tap="relu2")
    )  # fmt: skip
    together = jax.jit(jax.vmap(overlap))(
        jax.tree.map(lambda *x: jnp.stack(x), variables, other)
    )
    alone = [overlap(variables), overlap(other)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_a_tap_without_pixels_is_refused(tiny_vae, images):
    model, variables = tiny_vae()
    wanted = r"^explained_forward: .*'vector' has shape \(7,\) for one image; choose"
    with pytest.raises(ValueError, match=wanted):
        explain(model, variables, images, tap="vector")
    with pytest.raises(ValueError, match=r"unknown tap 'relu3'"):
        explain(model, variables, images, tap="relu3")


def test_an_unknown_resolution_is_refused():
    # Unwrapped, because the type checks of the test run would speak first.
    with pytest.raises(
        ValueError, match="resolution must be one of tap, image, got 'tpa'"
    ):
        inspect.unwrap(explained_forward)(
            None, {}, None, None, run=latents_and_decoded, tap="relu2", resolution="tpa"
        )


def test_random_pairs_are_distinct_and_equally_likely():
    number, size = 4, 30_000
    pairs = random_pairs(batch=size, latents=number, key=jax.random.key(0))
    counts = np.zeros((number, number))
    np.add.at(counts, tuple(np.array(pairs).T), 1)
    assert np.trace(counts) == 0
    off_diagonal = counts[~np.eye(number, dtype=bool)]
    share = 1 / (number * (number - 1))
    error = 5 * np.sqrt(size * share * (1 - share))
    assert np.abs(off_diagonal - size * share).max() < error


def test_two_latents_are_always_both_chosen():
    pairs = random_pairs(batch=20, latents=2, key=jax.random.key(0))
    np.testing.assert_array_equal(pairs.sum(1), 1)
    with pytest.raises(
        ValueError, match="random_pairs: a pair needs two latents, got 1"
    ):
        random_pairs(batch=20, latents=1, key=jax.random.key(0))


def test_the_strongest_latents_have_the_means_farthest_from_the_prior():
    mean = jnp.array([[0.1, -3.0, 2.0, 0.0], [5.0, 0.0, 0.1, -4.0]])
    np.testing.assert_array_equal(strongest_latents(mean), [[1, 2], [0, 3]])
    np.testing.assert_array_equal(strongest_latents(mean, number=1), [[1], [0]])


@pytest.mark.parametrize(
    ("values", "share"),
    [
        ([0.0, 0.0, 0.0], 1.0),
        ([1.0, 2.0, 1e-30], 0.0),
        ([0.0, -0.0, 0.5], 2 / 3),
        ([0.0, -1.0, 2.0], 1 / 3),  # What is negative is not zero.
        ([0.0, np.nan, np.inf], 1 / 3),
        ([], np.nan),
    ],
)
def test_a_map_is_empty_if_it_is_zero_everywhere(values, share):
    # One pixel decides: all others are zero.
    maps = np.zeros((len(values), 1, 2, 3), np.float32)
    maps[:, 0, 1, 2] = values
    found = jax.jit(empty_share)(maps)
    assert found.shape == ()
    np.testing.assert_allclose(found, share, rtol=1e-7)


def test_the_share_of_one_map_and_of_maps_of_maps():
    assert empty_share(jnp.zeros((2, 3))) == 1
    assert empty_share(jnp.eye(6).reshape(3, 2, 2, 3)) == 0
    assert empty_share(jnp.zeros((2, 2, 2, 3)).at[0, 1, 0, 0].set(1)) == 0.75


def test_the_attention_loss_takes_an_empty_map_for_one_that_lies_apart():
    first = jnp.zeros((4, 4)).at[0].set(1)
    apart = jnp.zeros((4, 4)).at[3].set(1)
    overlaps = [
        attention_disentanglement(first, other)
        for other in (apart, jnp.zeros((4, 4)), first)
    ]
    assert overlaps == [0, 0, 1]
