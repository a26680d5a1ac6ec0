import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_jax.attention import OFFICIAL, PAPER, POINTWISE, REPRO2021, SALIENCY, Rule
from vae_jax.attention.rules import channel_weights, combine

# One image, two rows, two columns, two channels.
ACTIVATION = np.stack([[[1, -2], [3, 0]], [[-1, 1], [0, 2]]], -1)[None].astype("f4")
GRADIENT = np.stack([[[4, 0], [2, 2]], [[-4, 0], [0, 0]]], -1)[None].astype("f4")
# Spatial means: a = (2, -1). Sum over channels of a A:
#   2 [[1, -2], [3, 0]] - [[-1, 1], [0, 2]] = [[3, -5], [6, -2]].
SUM = np.array([[3, -5], [6, -2]], "f4")
# Root mean square of G: sqrt((16 + 4 + 4 + 16) / 8) = sqrt(5).
RMS = np.sqrt(5) + 1e-5


def make_map(rule, size=(2, 2), *, gradient=GRADIENT, activation=ACTIVATION):
    gradient, activation = jnp.asarray(gradient), jnp.asarray(activation)
    return np.array(combine(rule, channel_weights(rule, gradient), activation, size))


def interpolation(size, new_size, *, aligned):
    """Weights of linear interpolation, [new_size size], pixel by pixel."""
    weights = np.zeros((new_size, size))
    for new in range(new_size):
        if aligned:
            place = new * (size - 1) / (new_size - 1)
        else:
            place = min(max((new + 0.5) * size / new_size - 0.5, 0), size - 1)
        low = min(int(place), max(size - 2, 0))
        weights[new, low] += 1 - (place - low)
        weights[new, min(low + 1, size - 1)] += place - low
    return weights


def test_paper_golden_array():
    # relu -> [[3, 0], [6, 0]]; rows 2 -> 4 with weights 1, 3/4, 1/4, 0 of the first.
    expected = np.outer([3, 3.75, 5.25, 6], [1, 0.75, 0.25, 0])
    np.testing.assert_allclose(make_map(PAPER, (4, 4))[0], expected, atol=1e-6)


def test_official_golden_array():
    # The signed sum is resized first: column 1 is column 0 - 8 everywhere.
    left = np.array([3, 3.75, 5.25, 6])
    expected = np.abs(np.stack([left, left - 2, left - 6, left - 8], 1)) / RMS
    np.testing.assert_allclose(make_map(OFFICIAL, (4, 4))[0], expected, atol=1e-6)


def test_repro2021_golden_array():
    # mean_k |a_k A_k| = ([[2, 4], [6, 0]] + [[1, 1], [0, 2]]) / 2
    #   = [[1.5, 2.5], [3, 1]]; 2 -> 3 aligned puts averages in between.
    expected = np.array([[1.5, 2, 2.5], [2.25, 2, 1.75], [3, 2, 1]]) / RMS
    np.testing.assert_allclose(make_map(REPRO2021, (3, 3))[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(rectify="none"), SUM),
        (Rule(rectify="neg_relu"), [[0, 5], [0, 2]]),
        (Rule(rectify="abs"), [[3, 5], [6, 2]]),
        (Rule(reduce="mean"), [[1.5, 0], [3, 0]]),
        (Rule(rectify_at="channel"), [[3, 0], [6, 0]]),
        (Rule(rectify="neg_relu", rectify_at="channel"), [[0, 5], [0, 2]]),
        (Rule(rectify="none", grad_norm="rms_image"), SUM / RMS),
        # G A: [[4, 0], [6, 0]] + [[4, 0], [0, 0]].
        (POINTWISE, [[8, 0], [6, 0]]),
        (dataclasses.replace(POINTWISE, reduce="mean"), [[4, 0], [3, 0]]),
        (SALIENCY, [[8, 0], [2, 2]]),
        (Rule(term="gradient", rectify="none"), [[0, 0], [2, 2]]),
    ],
)
def test_each_step_known_answers(rule, expected):
    np.testing.assert_allclose(make_map(rule)[0], expected, atol=1e-6)


def test_rms_is_over_one_image_or_over_all():
    gradients = np.concatenate([GRADIENT, 3 * GRADIENT])
    activations = np.concatenate([ACTIVATION, ACTIVATION])
    arrays = {"gradient": gradients, "activation": activations}
    image = make_map(Rule(rectify="none", grad_norm="rms_image"), **arrays)
    batch = make_map(Rule(rectify="none", grad_norm="rms_batch"), **arrays)
    # Mean square of all: (5 + 9 * 5) / 2 = 25.
    np.testing.assert_allclose(image[1], 3 * SUM / (3 * np.sqrt(5) + 1e-5), rtol=1e-6)
    np.testing.assert_allclose(batch[0], SUM / (5 + 1e-5), rtol=1e-6)
    np.testing.assert_allclose(batch[1], 3 * SUM / (5 + 1e-5), rtol=1e-6)


SIZES = [((2, 3), (8, 12)), ((7, 7), (28, 28)), ((12, 9), (100, 31)), ((3, 1), (6, 4))]


@pytest.mark.parametrize(("size", "new_size"), SIZES)
@pytest.mark.parametrize("resize", ["bilinear", "bilinear_aligned"])
def test_bilinear_agrees_with_numpy(resize, size, new_size):
    values = np.random.default_rng(0).normal(size=size)
    weights = [
        interpolation(*pair, aligned=resize == "bilinear_aligned")
        for pair in zip(size, new_size, strict=True)
    ]
    expected = weights[0] @ values @ weights[1].T
    resized = resize_only(values, resize, new_size)
    np.testing.assert_allclose(resized, expected, atol=2e-5)


@pytest.mark.parametrize(("size", "new_size"), SIZES)
def test_resize_agrees_with_torch(size, new_size):
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).normal(size=size)
    for resize, options in {
        "bilinear": {"mode": "bilinear", "align_corners": False},
        "bilinear_aligned": {"mode": "bilinear", "align_corners": True},
        "nearest": {"mode": "nearest-exact"},
    }.items():
        tensor = torch.from_numpy(values)[None, None]
        expected = torch.nn.functional.interpolate(tensor, new_size, **options)[0, 0]
        resized = resize_only(values, resize, new_size)
        np.testing.assert_allclose(resized, expected.numpy(), atol=2e-5)


def test_cubic_is_the_keys_kernel_between_pixels():
    # Doubling puts pixel 2i + 1 a quarter of the way from i to i + 1; with slope
    # -1/2 at the neighbours, Keys' four weights there are as below.
    values = np.random.default_rng(0).normal(size=(8, 1))
    keys = np.array([-9, 111, 29, -3]) / 128
    resized = resize_only(values, "cubic", (16, 1))
    np.testing.assert_allclose(resized[7, 0], keys @ values[2:6, 0], atol=1e-6)


def resize_only(values, resize, new_size):
    """Resizes through the rule: one channel, weight 1, no rectifier."""
    rule = Rule(rectify="none", resize=resize)
    values = jnp.asarray(values, jnp.float32)[None, :, :, None]
    return np.array(combine(rule, jnp.ones((1, 1)), values, new_size))[0]


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(0.01, 100), rule=st.sampled_from([PAPER, POINTWISE, SALIENCY]))
def test_maps_scale_with_the_gradient(scale, rule):
    scaled = make_map(rule, gradient=scale * GRADIENT)
    np.testing.assert_allclose(scaled, scale * make_map(rule), rtol=1e-5)


@pytest.mark.parametrize("rule", [OFFICIAL, REPRO2021, Rule(grad_norm="rms_image")])
def test_zero_gradient_gives_zero_maps_with_finite_slopes(rule):
    def total(gradient):
        weights = channel_weights(rule, gradient)
        return combine(rule, weights, jnp.asarray(ACTIVATION), (4, 4)).sum()

    value, slope = jax.value_and_grad(total)(jnp.zeros_like(GRADIENT))
    assert value == 0
    assert np.isfinite(slope).all()


def test_half_precision_is_widened_before_channels_are_summed():
    # 256 + 1 is 256 in bfloat16.
    activation = jnp.ones((1, 1, 1, 257), jnp.bfloat16)
    weights = channel_weights(Rule(), activation)
    assert combine(Rule(), weights, activation, (1, 1)) == 257


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (PAPER, True),
        (OFFICIAL, False),
        (POINTWISE, False),
        (SALIENCY, False),
        (Rule(grad_norm="rms_image"), False),
    ],
)
def test_a_gradient_of_the_same_mean_gives_the_same_map_where_the_rule_says_so(
    rule, expected
):
    assert rule.needs_only_mean is expected
    flat = np.broadcast_to(GRADIENT.mean((1, 2), keepdims=True), GRADIENT.shape)
    same = np.allclose(make_map(rule, gradient=flat), make_map(rule))
    assert same is expected


def test_unknown_choice_is_refused():
    # Past the type checks of the test suite, which users do not have.
    rule = dataclasses.replace(PAPER)
    object.__setattr__(rule, "rectify", "rleu")
    with pytest.raises(ValueError, match=r"Rule: rectify must be one of .*got 'rleu'"):
        rule.__post_init__()
