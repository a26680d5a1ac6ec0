import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.attention import (
    OFFICIAL,
    PAPER,
    POINTWISE,
    REPRO2021,
    SALIENCY,
    NormalAggregate,
    Rule,
    activations,
    attention_maps,
    kl,
    latents,
    normal_difference,
    reconstruction_error,
    sampled_attention,
    squared_norm,
    sum_of_latents,
    tap_gradient,
    taps,
)

PER_IMAGE = Rule(grad_norm="rms_image", rectify="abs", rectify_at="resized")
SIGNED = Rule(rectify="none")


def make_maps(model, variables, images, **options):
    return jax.jit(lambda v, x: attention_maps(model, v, x, **options))(
        variables, images
    )


def make_gradient(model, variables, images, **options):
    return jax.jit(lambda v, x: tap_gradient(model, v, x, **options))(variables, images)


def make_samples(model, variables, images, **options):
    return jax.jit(lambda v, x: sampled_attention(model, v, x, **options))(
        variables, images
    )


def squared_error(images, decoded):
    return -jnp.square(images - decoded).sum((1, 2, 3))


ERROR = reconstruction_error(squared_error)


def hand_split(model, variables, images):
    """Activation of relu2, and d mean / d relu2 [batch latent rows columns channel]."""

    @jax.jit
    def split(variables, images):
        _, state = model.apply(
            variables, images, method="encode", mutable="intermediates"
        )
        activation = state["intermediates"]["relu2"]

        def mean(one):
            return model.apply(variables, one[None], method="tail").mean[0]

        return activation, jax.vmap(jax.jacrev(mean))(activation)

    return split(variables, images)


@pytest.mark.parametrize("by_channel", [True, False])
def test_maps_are_equations_1_and_2(tiny_vae, images, by_channel):
    model, variables = tiny_vae(by_channel=by_channel)
    activation, gradient = hand_split(model, variables, images)
    weights = np.array(gradient).mean((2, 3))
    sums = np.einsum("bkc,bhwc->bkhw", weights, activation)
    expected = jax.image.resize(np.maximum(sums, 0), (5, 3, 8, 12), "bilinear")
    maps = make_maps(model, variables, images, tap="relu2")
    assert (expected > 0).any()
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-7)


def test_gradients_are_the_hand_split_networks(tiny_vae, images):
    model, variables = tiny_vae()
    activation, expected = hand_split(model, variables, images)
    found = make_gradient(model, variables, images, tap="relu2", score=latents)
    np.testing.assert_array_equal(found.activation, activation)
    np.testing.assert_allclose(found.gradient, expected, rtol=1e-5, atol=1e-7)
    one = make_gradient(model, variables, images, tap="relu2", score=sum_of_latents)
    np.testing.assert_allclose(one.gradient, expected.sum(1), rtol=1e-5, atol=1e-6)


def test_input_gradient_is_the_total_derivative(tiny_vae, images):
    model, variables = tiny_vae()

    def total_error(x):
        return jnp.square(x - model.apply(variables, x)).sum()

    found = make_gradient(model, variables, images, tap="input", score=ERROR)
    np.testing.assert_array_equal(found.activation, images)
    expected = jax.grad(total_error)(images)
    np.testing.assert_allclose(found.gradient, expected, rtol=1e-4, atol=1e-5)
    saliency = make_maps(
        model, variables, images, tap="input", score=ERROR, rule=SALIENCY
    )
    np.testing.assert_allclose(saliency, np.abs(expected).sum(-1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("rule", "tap"),
    [(PAPER, "relu2"), (PER_IMAGE, "conv1"), (POINTWISE, "relu2"), (SALIENCY, "input")],
)
def test_a_map_is_the_same_alone_and_in_any_batch(tiny_vae, images, rule, tap):
    model, variables = tiny_vae(norm=True)
    maps = make_maps(model, variables, images, tap=tap, rule=rule)
    assert maps.shape == (5, 3, 8, 12)
    assert (maps != 0).any()
    alone = make_maps(model, variables, images[3:4], tap=tap, rule=rule)
    np.testing.assert_allclose(maps[3:4], alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rule", [OFFICIAL, REPRO2021])
def test_presets_that_couple_the_batch_warn(tiny_vae, images, rule):
    model, variables = tiny_vae()

    def maps_of(x):
        # The image beside it ten times brighter: other gradients, other scale.
        with pytest.warns(UserWarning, match="depend on the other images") as caught:
            maps = make_maps(
                model, variables, x, tap="conv2", score=squared_norm, rule=rule
            )
        assert len(caught) == 1
        return np.array(maps[0])

    pair = maps_of(images[:2] * jnp.array([1.0, 10.0]).reshape(2, 1, 1, 1))
    alone = maps_of(images[:1])
    assert np.abs(pair - alone).max() > 0.1 * alone.max()
    # Only the scale is shared: the shape of a map is its own.
    np.testing.assert_allclose(pair / pair.max(), alone / alone.max(), atol=1e-4)


@pytest.mark.parametrize("rule", [PAPER, PER_IMAGE])
@pytest.mark.parametrize("latent_chunk", [None, 1, 2])
def test_all_latents_at_once_equal_one_at_a_time(tiny_vae, images, rule, latent_chunk):
    model, variables = tiny_vae()
    maps = make_maps(
        model, variables, images, tap="relu2", rule=rule, latent_chunk=latent_chunk
    )
    for k in range(3):

        def one_latent(vae, x, noise, k=k):
            return latents(vae, x, noise)[:, k]

        one = make_maps(
            model, variables, images, tap="relu2", score=one_latent, rule=rule
        )
        np.testing.assert_allclose(maps[:, k], one, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("score", "rule"),
    [(latents, PAPER), (kl, SIGNED), (ERROR, Rule(rectify_at="channel"))],
)
def test_channel_path_equals_general_path(tiny_vae, images, score, rule):
    marked, variables = tiny_vae(by_channel=True)
    plain, _ = tiny_vae(by_channel=False)
    options = {"tap": "relu2", "score": score, "rule": rule}
    fast = make_maps(marked, variables, images, **options)
    general = make_maps(plain, variables, images, **options)
    np.testing.assert_allclose(fast, general, rtol=1e-5, atol=1e-6)


def gradients_made(tiny, images, rule):
    """Number of arrays with a gradient for each latent and pixel of relu2."""
    model, variables = tiny
    program = jax.make_jaxpr(
        lambda x: attention_maps(model, variables, x, tap="relu2", rule=rule)
    )(images)
    shapes = re.findall(r"f32\[([\d,]+)\]", str(program))
    sizes = [math.prod(map(int, shape.split(","))) for shape in shapes]
    return sizes.count(5 * 3 * 2 * 3 * 5)


def test_channel_path_is_taken_exactly_where_the_rule_allows(tiny_vae, images):
    marked, plain = tiny_vae(), tiny_vae(by_channel=False)
    assert gradients_made(marked, images, PAPER) == 0
    assert gradients_made(plain, images, PAPER) > 0
    assert gradients_made(marked, images, PER_IMAGE) > 0
    assert gradients_made(marked, images, POINTWISE) > 0


def test_rectified_normal_difference_is_the_complement(tiny_vae, images):
    # Eq. 4 negates the mean, so what relu keeps of one, it drops of the other.
    model, variables = tiny_vae()
    score = normal_difference(NormalAggregate(jnp.zeros(3), jnp.ones(3)))
    maps = make_maps(model, variables, images, tap="relu2", score=score)
    complement = Rule(rectify="neg_relu")
    expected = make_maps(
        model, variables, images, tap="relu2", score=sum_of_latents, rule=complement
    )
    np.testing.assert_allclose(maps, expected, atol=1e-6)
    assert (maps > 0).any()


@pytest.mark.parametrize(
    ("rule", "tap"), [(PAPER, "relu2"), (PER_IMAGE, "conv2"), (SALIENCY, "input")]
)
def test_score_without_slope_gives_zero_maps(tiny_vae, images, rule, tap):
    model, variables = tiny_vae()
    heads = jax.tree.map(jnp.zeros_like, variables["params"]["heads"])
    variables = {"params": variables["params"] | {"heads": heads}}

    def total(variables):
        return attention_maps(model, variables, images, tap=tap, rule=rule).sum()

    value, slopes = jax.jit(jax.value_and_grad(total))(variables)
    assert value == 0
    assert all(np.isfinite(slope).all() for slope in jax.tree.leaves(slopes))


def test_one_image_one_pixel_tap(tiny_vae):
    # A flat image of batch 1, and no warning of any kind.
    model, variables = tiny_vae()
    maps = make_maps(model, variables, jnp.zeros((1, 8, 12, 2)), tap="relu2")
    assert maps.shape == (1, 3, 8, 12)
    assert np.isfinite(maps).all()


def test_half_precision_model_gives_float32_maps(tiny_vae, images):
    model, variables = tiny_vae()
    half, _ = tiny_vae(dtype=jnp.bfloat16)
    for tap in ("conv2", "relu2"):
        expected = make_maps(model, variables, images, tap=tap, rule=SIGNED)
        maps = make_maps(half, variables, images, tap=tap, rule=SIGNED)
        assert maps.dtype == jnp.float32
        # bfloat16 keeps 8 bits; a handful of layers may lose a few of them.
        scale = np.abs(expected).max()
        np.testing.assert_allclose(maps, expected, atol=0.05 * scale)


@pytest.mark.parametrize(
    ("rule", "tap"), [(SIGNED, "relu2"), (PER_IMAGE, "conv1"), (POINTWISE, "input")]
)
def test_second_order_agrees_with_finite_differences(tiny_vae, rule, tap):
    with jax.enable_x64(True):
        # The perturbation of whole channels is float32; the next test has its slopes.
        model, variables = tiny_vae(smooth=True, by_channel=False, dtype=jnp.float64)
        variables = jax.tree.map(lambda x: x.astype(jnp.float64), variables)
        rng = np.random.default_rng(0)
        images = jnp.asarray(rng.uniform(size=(2, 8, 12, 2)))
        direction = jax.tree.map(lambda x: rng.normal(size=x.shape), variables)

        @jax.jit
        def loss(step):
            moved = jax.tree.map(lambda v, d: v + step * d, variables, direction)
            maps = attention_maps(model, moved, images, tap=tap, rule=rule)
            return jnp.square(maps).sum()

        slope = jax.jit(jax.grad(loss))(0.0)
        step = 1e-5
        difference = (loss(step) - loss(-step)) / (2 * step)
        np.testing.assert_allclose(slope, difference, rtol=1e-6)
        assert abs(slope) > 1e-6


def test_channel_path_has_the_slopes_of_the_general_path(tiny_vae, images):
    marked, variables = tiny_vae(by_channel=True)
    plain, _ = tiny_vae(by_channel=False)

    def slopes(model):
        def loss(variables):
            maps = attention_maps(model, variables, images, tap="relu2", rule=SIGNED)
            return jnp.square(maps).sum()

        return jax.jit(jax.grad(loss))(variables)

    fast, general = slopes(marked)["params"], slopes(plain)["params"]
    assert np.abs(general["convolution1"]["kernel"]).max() > 1e-3
    for found, expected in zip(*map(jax.tree.leaves, (fast, general)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_sampled_attention_is_mean_and_deviation_of_single_samples(tiny_vae, images):
    model, variables = tiny_vae()
    key = jax.random.key(7)
    options = {"tap": "relu2", "score": squared_norm}
    found = make_samples(model, variables, images, **options, key=key, samples=4)
    singles = []
    for sample_key in jax.random.split(key, 4):
        noise = jnp.broadcast_to(
            jax.random.normal(sample_key, (1, 3), jnp.float32), (5, 3)
        )
        singles.append(make_maps(model, variables, images, **options, noise=noise))
    np.testing.assert_allclose(found.mean, np.mean(singles, 0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.std, np.std(singles, 0), rtol=1e-3, atol=1e-5)
    assert found.std.max() > 0
    alone = make_samples(model, variables, images[2:3], **options, key=key, samples=4)
    np.testing.assert_allclose(found.std[2:3], alone.std, rtol=1e-3, atol=1e-5)


def test_score_that_noise_does_not_touch_has_no_spread(tiny_vae, images):
    model, variables = tiny_vae()
    found = make_samples(
        model,
        variables,
        images,
        tap="conv2",
        score=kl,
        key=jax.random.key(0),
        samples=3,
    )
    expected = make_maps(model, variables, images, tap="conv2", score=kl)
    np.testing.assert_allclose(found.mean, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.std, 0, atol=1e-6)


def test_jitted_and_sharded_over_devices_equals_plain(tiny_vae, images):
    model, variables = tiny_vae()
    images = jnp.concatenate([images, images])[:8]
    plain = make_maps(model, variables, images, tap="relu2")
    mesh = jax.sharding.Mesh(jax.devices(), "data")
    sharding = jax.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    spread = jax.device_put(images, sharding)
    maps = jax.jit(lambda v, x: attention_maps(model, v, x, tap="relu2"))(
        variables, spread
    )
    assert maps.sharding.spec[0] == "data"
    np.testing.assert_allclose(maps, plain, rtol=1e-5, atol=1e-7)


def test_perturbations_left_by_init_change_nothing(tiny_vae, images):
    model, variables = tiny_vae()
    left = jax.jit(model.init)(jax.random.key(0), images[:1])
    assert "perturbations" in left
    stale = {**left, **variables}
    for tap in ("input", "conv2"):
        expected = make_maps(model, variables, images, tap=tap)
        maps = make_maps(model, stale, images, tap=tap)
        np.testing.assert_array_equal(maps, expected)


def test_taps_are_those_on_the_way_to_the_score(tiny_vae):
    model, variables = tiny_vae()
    encoder = {
        "input": (8, 12, 2),
        "conv1": (4, 6, 4),
        "relu1": (4, 6, 4),
        "conv2": (2, 3, 5),
        "relu2": (2, 3, 5),
        "vector": (7,),
    }
    assert taps(model, variables, (8, 12, 2)) == encoder
    decoder = {"decoded": (8, 12, 2)}
    assert taps(model, variables, (8, 12, 2), score=ERROR) == encoder | decoder


def test_activations_are_those_that_gradients_are_taken_at(tiny_vae, images):
    model, variables = tiny_vae()
    found = activations(model, variables, images, score=ERROR)
    assert {"input", *found} == taps(model, variables, (8, 12, 2), score=ERROR).keys()
    for tap, activation in found.items():
        pair = tap_gradient(model, variables, images, tap=tap, score=ERROR)
        np.testing.assert_allclose(activation, pair.activation, rtol=1e-5, atol=1e-6)


def test_unknown_tap_is_named_with_its_nearest(tiny_vae, images):
    model, variables = tiny_vae()
    with pytest.raises(
        ValueError, match=r"unknown tap 'rleu2'; did you mean 'relu2'\? Taps: input, "
    ):
        make_maps(model, variables, images, tap="rleu2")
    # The perturbation of whole channels is not itself a tap.
    with pytest.raises(ValueError, match="unknown tap 'relu2_channels'"):
        tap_gradient(model, variables, images, tap="relu2_channels", score=kl)


def test_tap_without_pixels_is_refused_for_maps_only(tiny_vae, images):
    model, variables = tiny_vae()
    with pytest.raises(ValueError, match=r"'vector' has shape \(7,\) for one image"):
        make_maps(model, variables, images, tap="vector")
    found = make_gradient(model, variables, images, tap="vector", score=latents)
    kernel = variables["params"]["heads"]["kernel"][:, :3]
    expected = np.broadcast_to(kernel.T, (5, 3, 7))
    np.testing.assert_allclose(found.gradient, expected, rtol=1e-6)


def test_score_must_have_one_row_per_image(tiny_vae, images):
    model, variables = tiny_vae()

    def total(vae, x, noise):
        return sum_of_latents(vae, x, noise).sum(keepdims=True)

    for tap in ("input", "conv2"):
        with pytest.raises(ValueError, match=r"5 images; got shape \(1,\)"):
            make_gradient(model, variables, images, tap=tap, score=total)
        with pytest.raises(ValueError, match=r"1 images; got shape \(\)"):
            make_maps(model, variables, images, tap=tap, score=lambda *a: total(*a)[0])


def test_sampling_warns_once_that_maps_depend_on_the_batch(tiny_vae, images):
    model, variables = tiny_vae()
    with pytest.warns(UserWarning, match="^sampled_attention: ") as caught:
        sampled_attention(
            model, variables, images, tap="conv2", rule=OFFICIAL,
            key=jax.random.key(0), samples=2,
        )  # fmt: skip
    assert len(caught) == 1


def test_a_chunk_of_no_map_is_refused(tiny_vae, images):
    model, variables = tiny_vae()
    with pytest.raises(ValueError, match=r"latent_chunk must be at least 1 .* got 0;"):
        make_maps(model, variables, images, tap="conv2", latent_chunk=0)


@pytest.mark.parametrize("tap", ["conv2", "relu2", "input"])
def test_float32_is_as_precise_as_jax_is_told(tiny_vae, images, tap):
    """In every product and convolution, of the pass back too."""
    model, variables = tiny_vae()
    with jax.default_matmul_precision("highest"):
        program = jax.make_jaxpr(
            lambda v, x: attention_maps(model, v, x, tap=tap, score=latents)
        )(variables, images)
    found = re.findall(r"precision=(\S+)", str(program))
    assert len(found) > 3
    assert not [p for p in found if "HIGHEST" not in p]


def test_sampling_needs_a_sample(tiny_vae, images):
    model, variables = tiny_vae()
    with pytest.raises(ValueError, match="samples must be positive, got 0"):
        sampled_attention(
            model, variables, images, tap="conv2", key=jax.random.key(0), samples=0
        )
