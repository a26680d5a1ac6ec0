import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_jax import distributions

LEVELS = np.arange(256, dtype=np.float32) / 255
# Compiled whole: one operation at a time they would take most of the tests' time.
mixture_log_prob = jax.jit(distributions.discretised_logistic_mixture_log_prob)
sample_mixture = jax.jit(
    distributions.sample_discretised_logistic_mixture, static_argnames="channels"
)
few = settings(max_examples=25, deadline=None)
moderate = st.floats(-4, 4, width=32)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


# Normal


@pytest.mark.parametrize(
    ("x", "mean", "logvar", "nats"),
    [
        (0.0, 0.0, 0.0, -0.5 * math.log(2 * math.pi)),
        (3.0, 1.0, 0.0, -2.0 - 0.5 * math.log(2 * math.pi)),
        (1.0, 1.0, math.log(4.0), -0.5 * math.log(8 * math.pi)),
    ],
)
def test_normal_log_prob_known_answers(x, mean, logvar, nats):
    found = distributions.normal_log_prob(jnp.array(x), mean, logvar)
    np.testing.assert_allclose(found, nats, rtol=1e-6)


@pytest.mark.parametrize("logvar", [-90.0, -100.0, -178.0, -180.0, -400.0, 90.0])
def test_a_normal_is_finite_at_its_mean_whatever_its_width(logvar):
    # exp(90) is no float32.
    mean = jnp.float32(0.7)
    found, slope = jax.value_and_grad(distributions.normal_log_prob, argnums=2)(
        mean, mean, logvar
    )
    np.testing.assert_allclose(found, -0.5 * (np.log(2 * np.pi) + logvar), rtol=1e-6)
    np.testing.assert_allclose(slope, -0.5)
    kl = distributions.normal_kl(mean, jnp.float32(logvar), mean, logvar)
    np.testing.assert_array_equal(kl, 0)


@few
@given(mean=moderate, logvar=moderate)
def test_normal_density_integrates_to_one(mean, logvar):
    deviation = math.exp(logvar / 2)
    x = jnp.linspace(mean - 9 * deviation, mean + 9 * deviation, 2001)
    density = jnp.exp(distributions.normal_log_prob(x, mean, logvar))
    np.testing.assert_allclose(jnp.trapezoid(density, x), 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("posterior", "prior", "nats"),
    [
        ((2.0, 0.0), (0.0, 0.0), 2.0),
        ((0.0, math.log(4.0)), (0.0, 0.0), 1.5 - math.log(2.0)),
        ((5.0, math.log(9.0)), (5.0, math.log(9.0)), 0.0),
        ((3.0, math.log(4.0)), (1.0, math.log(2.0)), 1.5 - 0.5 * math.log(2.0)),
    ],
)
def test_normal_kl_known_answers(posterior, prior, nats):
    found = distributions.normal_kl(*map(jnp.array, posterior), *prior)
    np.testing.assert_allclose(found, nats, rtol=1e-6, atol=1e-7)


@few
@given(mean=moderate, logvar=moderate, prior_mean=moderate, prior_logvar=moderate)
def test_normal_kl_is_never_negative_and_blind_to_a_common_shift_and_scale(
    mean, logvar, prior_mean, prior_logvar
):
    def kl(shift, log_scale):
        scale = math.exp(log_scale)
        return distributions.normal_kl(
            jnp.array(scale * mean + shift),
            jnp.array(logvar + 2 * log_scale),
            scale * prior_mean + shift,
            prior_logvar + 2 * log_scale,
        )

    assert kl(0.0, 0.0) >= 0
    np.testing.assert_allclose(kl(0.0, 0.0), kl(1.5, 0.3), rtol=1e-4, atol=1e-5)


def test_normal_kl_agrees_with_monte_carlo():
    mean, logvar = jnp.full(200_000, 0.7), jnp.full(200_000, -0.9)
    z = distributions.sample_normal(mean, logvar, key=jax.random.key(0))
    log_ratio = distributions.normal_log_prob(
        z, mean, logvar
    ) - distributions.normal_log_prob(z, -0.2, 0.4)
    standard_error = log_ratio.std() / math.sqrt(z.size)
    kl = distributions.normal_kl(mean[0], logvar[0], -0.2, 0.4)
    np.testing.assert_allclose(log_ratio.mean(), kl, atol=4 * float(standard_error))


def test_normal_kl_keeps_its_digits_near_the_prior():
    # To second order KL = logvar^2 / 4; exp(r) - 1 - r would be all rounding here.
    logvar = jnp.float32(1e-3)
    found = distributions.normal_kl(jnp.float32(0), logvar, 0.0, 0.0)
    np.testing.assert_allclose(found, 2.5e-7, rtol=1e-3)


def test_sample_normal_has_the_mean_and_the_variance_it_was_given():
    mean, logvar = jnp.full(100_000, 3.0), jnp.full(100_000, math.log(4.0))
    sample = distributions.sample_normal(mean, logvar, key=jax.random.key(1))
    np.testing.assert_allclose(sample.mean(), 3.0, atol=4 * 2 / math.sqrt(1e5))
    np.testing.assert_allclose(sample.var(), 4.0, atol=4 * 4 * math.sqrt(2 / 1e5))


def test_sample_normal_is_reparameterised():
    def sample(mean, logvar):
        return distributions.sample_normal(mean, logvar, key=jax.random.key(2))

    mean, logvar = jnp.float32(1.0), jnp.float32(0.6)
    by_mean, by_logvar = jax.grad(sample, argnums=(0, 1))(mean, logvar)
    np.testing.assert_allclose(by_mean, 1.0)
    np.testing.assert_allclose(by_logvar, (sample(mean, logvar) - mean) / 2, rtol=1e-6)


def test_reparameterise_known_answers():
    mean, logvar = jnp.array([1.0, -2.0]), jnp.log(jnp.array([4.0, 9.0]))
    found = distributions.reparameterise(mean, logvar, jnp.array([0.5, -1.0]))
    np.testing.assert_allclose(found, [2.0, -5.0], rtol=1e-6)
    none = distributions.reparameterise(mean, logvar, jnp.zeros(2))
    np.testing.assert_array_equal(none, mean)


@pytest.mark.parametrize("logvar", [178.0, 300.0])
def test_no_noise_leaves_the_mean_however_wide_the_posterior(logvar):
    mean, logvar = jnp.array(1.0), jnp.array(logvar)
    found = distributions.reparameterise(mean, logvar, jnp.array(0.0))
    np.testing.assert_array_equal(found, 1.0)


@pytest.mark.parametrize("prior_logvar", [-178.0, -250.0])
def test_a_narrow_prior_costs_nothing_where_it_is_the_posterior(prior_logvar):
    mean, logvar = jnp.array(0.3), jnp.array(prior_logvar)
    kl = distributions.normal_kl
    np.testing.assert_array_equal(kl(mean, logvar, mean, logvar), 0.0)
    slopes = jax.grad(kl, argnums=(0, 1, 2, 3))(mean, logvar, mean, logvar)
    np.testing.assert_array_equal(np.stack(slopes), np.zeros(4))


@pytest.mark.parametrize("width", [-20.0, -60.0, -100.0, -165.0])
def test_a_normal_away_from_its_mean_is_as_improbable_as_it_is(width):
    # Five deviations away, where one float32 of the scale would not do.
    x = np.float32(5 * math.exp(width / 2))
    deviations = float(x) * math.exp(-width / 2)
    expected = -0.5 * (math.log(2 * math.pi) + width + deviations**2)
    found = distributions.normal_log_prob(jnp.array(x), 0.0, width)
    # exp of a rounded 89 is off by 89 roundings.
    np.testing.assert_allclose(found, expected, rtol=1e-4)


PER_IMAGE = {
    "normal_log_prob": [(4, 3), (3,), ()],
    "normal_kl": [(4, 3), (4, 3), (3,), ()],
    "bernoulli_log_prob": [(4, 3), (3,)],
}


@pytest.mark.parametrize("name", PER_IMAGE)
def test_parameters_do_not_broadcast_along_the_last_axis(name):
    arrays = [jnp.zeros(shape) for shape in PER_IMAGE[name]]
    with pytest.raises(ValueError, match=rf"^{name}: .*broadcast") as error:
        inspect.unwrap(getattr(distributions, name))(*arrays)
    assert "\n" not in str(error.value)


def test_noise_does_not_broadcast():
    # Unwrapped, because the shape checks of the test run would speak first.
    reparameterise = inspect.unwrap(distributions.reparameterise)
    rows = jnp.zeros((3, 2))
    with pytest.raises(ValueError, match=r"^reparameterise: .* \(3, 2\) and \(1, 2\)"):
        reparameterise(rows, rows, rows[:1])


# Bernoulli


def test_bernoulli_log_prob_is_the_log_of_the_probability():
    logits = jnp.linspace(-8, 8, 33)
    for x in (0.0, 1.0):
        found = distributions.bernoulli_log_prob(jnp.full_like(logits, x), logits)
        probability = sigmoid(logits if x else -logits)
        np.testing.assert_allclose(found, np.log(probability), rtol=1e-5)


def test_bernoulli_log_prob_of_grey_is_the_cross_entropy():
    x, logit = jnp.float32(0.3), jnp.float32(1.2)
    p = sigmoid(1.2)
    found = distributions.bernoulli_log_prob(x, logit)
    np.testing.assert_allclose(
        found, 0.3 * math.log(p) + 0.7 * math.log(1 - p), rtol=1e-6
    )


@pytest.mark.parametrize("logit", [-1e4, -200.0, 200.0, 1e4])
@pytest.mark.parametrize("x", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_bernoulli_is_exact_where_the_probability_under_or_overflows(x, logit):
    found, slope = jax.value_and_grad(distributions.bernoulli_log_prob, argnums=1)(
        jnp.float32(x), jnp.float32(logit)
    )
    exact = -(1 - x) * logit if logit > 0 else x * logit
    np.testing.assert_allclose(found, exact, rtol=1e-6)
    np.testing.assert_allclose(slope, x - (logit > 0), atol=1e-6)


def test_bernoulli_keeps_the_digits_of_a_confident_right_answer():
    found = distributions.bernoulli_log_prob(jnp.float32(1), jnp.float32(30))
    np.testing.assert_allclose(found, -math.exp(-30), rtol=1e-5)


@pytest.mark.parametrize("x", [0.3, 0.5, 0.8])
def test_bernoulli_derivatives_are_those_of_a_logistic_also_at_zero(x):
    def log_prob(logit):
        return distributions.bernoulli_log_prob(jnp.float32(x), logit)

    for logit in (0.0, 1.3):
        p = sigmoid(logit)
        slope = jax.grad(log_prob)(logit)
        np.testing.assert_allclose(slope, x - p, rtol=1e-5, atol=1e-7)
        curvature = jax.grad(jax.grad(log_prob))(logit)
        np.testing.assert_allclose(curvature, -p * (1 - p), rtol=1e-5)


def test_bernoulli_log_prob_changes_with_the_pixel_by_the_log_odds():
    pixels, logits = jnp.array([0.0, 0.5, 0.75, 1.0]), jnp.array([-3.0, 0.4, 2.0, 30.0])
    slopes = jax.vmap(jax.grad(distributions.bernoulli_log_prob))(pixels, logits)
    np.testing.assert_allclose(slopes, logits, rtol=1e-6)


def test_sample_bernoulli_draws_ones_with_their_probability():
    logits = jnp.full(100_000, 1.0)
    sample = distributions.sample_bernoulli(logits, key=jax.random.key(3))
    assert set(np.unique(sample)) == {0.0, 1.0}
    p = sigmoid(1.0)
    np.testing.assert_allclose(
        sample.mean(), p, atol=4 * math.sqrt(p * (1 - p) / sample.size)
    )


# Discretised mixture of logistics


def grey_parameters(*components):
    """One pixel from (logit, mean, log-scale) triples."""
    return jnp.array(components, jnp.float32).T.reshape(-1)


def slow_mixture_log_prob(x, parameters):
    """One pixel in float64, by differences of the distribution function."""
    channels = len(x)
    groups = {1: 3, 3: 10}[channels]
    rows = np.asarray(parameters, np.float64).reshape(groups, -1)
    logits, means, log_scales, coefficients = np.split(
        rows, [1, 1 + channels, 1 + 2 * channels]
    )
    y = 2 * np.asarray(x, np.float64) - 1
    probability = 0.0
    weights = np.exp(logits[0]) / np.exp(logits[0]).sum()
    for k, weight in enumerate(weights):
        c = np.tanh(coefficients[:, k])
        mean = means[:, k].copy()
        if channels == 3:
            mean[1] += c[0] * y[0]
            mean[2] += c[1] * y[0] + c[2] * y[1]
        for value, m, log_scale in zip(y, mean, log_scales[:, k], strict=True):
            scale = np.exp(max(log_scale, -7.0))
            above = 1.0 if value > 0.999 else sigmoid((value - m + 1 / 255) / scale)
            below = 0.0 if value < -0.999 else sigmoid((value - m - 1 / 255) / scale)
            weight *= above - below
        probability += weight
    return np.log(probability)


@pytest.mark.parametrize(
    "parameters",
    [
        grey_parameters((0.0, 0.1, -1.0)),
        grey_parameters((0.0, 0.0, 3.0)),
        grey_parameters((0.3, -1.2, -3.0), (-0.5, 0.4, -4.5), (1.0, 2.0, -2.0)),
        grey_parameters((0.0, 0.99, -5.0)),  # Nearly all mass on the white edge.
        grey_parameters((0.0, 0.2003, -20.0)),  # Held at the floor of the scale.
    ],
)
def test_the_256_levels_of_a_grey_pixel_sum_to_one(parameters):
    log_prob = mixture_log_prob(
        LEVELS[:, None] + jnp.zeros(()), jnp.tile(parameters, (256, 1))
    )
    np.testing.assert_allclose(jnp.exp(log_prob).sum(), 1.0, rtol=1e-5)


@pytest.mark.parametrize("corner", ["centre", "white", "black"])
def test_the_levels_of_a_colour_pixel_sum_to_one(corner):
    # Scales of one level: a cube of 41 levels a side around the means has it all.
    side = 41
    first = {"centre": 108, "white": 256 - side, "black": 0}[corner]
    centre = {"centre": 0.0, "white": 0.99, "black": -0.98}[corner]
    coefficients = np.array([0.3, -0.2, 0.1])
    c = np.tanh(coefficients)
    means = [centre, centre * (1 - c[0]), centre * (1 - c[1] - c[2])]
    parameters = jnp.array([0.0, *means, -5.0, -5.2, -4.9, *coefficients], jnp.float32)
    axis = (first + np.arange(side, dtype=np.float32)) / 255
    cube = jnp.stack(jnp.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    log_prob = mixture_log_prob(cube, jnp.tile(parameters, (len(cube), 1)))
    np.testing.assert_allclose(jnp.exp(log_prob).sum(), 1.0, rtol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_mixture_agrees_with_a_slow_twin(channels):
    rng = np.random.default_rng(channels)
    parameters = rng.normal(size=(40, 4 * {1: 3, 3: 10}[channels])).astype(np.float32)
    x = rng.choice(LEVELS, size=(40, channels))
    x[:4] = 0.0
    x[4:8] = 1.0
    x[8] = 254 / 255  # Published code gives this level the upper tail as well.
    found = mixture_log_prob(jnp.asarray(x), jnp.asarray(parameters))
    expected = [
        slow_mixture_log_prob(*pair) for pair in zip(x, parameters, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_bin_far_from_the_mean_keeps_its_exact_log_probability_and_gradient():
    # scale e^-6: the bin is some 400 scales away and its mass is 0 in float32.
    def log_prob(mean):
        parameters = jnp.stack([0.0, mean, -6.0])
        x = jnp.full(1, 0.75)
        return mixture_log_prob(x, parameters)

    scale = math.exp(-6.0)
    found, slope = jax.value_and_grad(log_prob)(jnp.float32(-0.5))
    nearer_edge = (2 * 0.75 - 1 - 1 / 255 + 0.5) / scale
    exact = -nearer_edge + math.log1p(-math.exp(-2 / 255 / scale))
    np.testing.assert_allclose(found, exact, rtol=1e-5)
    np.testing.assert_allclose(slope, 1 / scale, rtol=1e-4)


def test_a_flat_mixture_gives_every_inner_level_its_share_of_the_density():
    # A scale far above the range: log-density 1 / (4 scale), bins 2 / 255 wide.
    found = mixture_log_prob(jnp.full(1, 0.5), grey_parameters((0.0, 0.0, 8.0)))
    np.testing.assert_allclose(found, math.log(2 / 255 / 4) - 8.0, rtol=1e-5)


@pytest.mark.parametrize("log_scale", [-6.9, -3.0, 0.0, 1.9, 2.1, 5.0, 90.0, 200.0])
def test_an_inner_level_of_a_logistic_is_its_mass_whatever_its_scale(log_scale):
    # Of 1/255 to either side of the mean; twice the sigmoid of half the width, less 1.
    half = math.exp(-log_scale) / 255
    expected = math.log(math.tanh(half / 2))
    head = jnp.array([0.0, 0.0, log_scale])
    pixel = jnp.full((1,), 0.5)
    found, slope = jax.value_and_grad(lambda head: mixture_log_prob(pixel, head).sum())(
        head
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    # d log tanh(h/2) / d log_scale = -h / sinh(h).
    np.testing.assert_allclose(slope[2], -half / math.sinh(half), rtol=1e-4)


def test_mixture_has_a_gradient_with_respect_to_the_image():
    def log_prob(x):
        return mixture_log_prob(x, grey_parameters((0.0, 0.0, -2.0)))

    towards_mean = jax.grad(log_prob)(jnp.full(1, 0.9))
    step = 1e-2
    difference = log_prob(jnp.full(1, 0.9 + step)) - log_prob(jnp.full(1, 0.9 - step))
    np.testing.assert_allclose(towards_mean[0], difference / (2 * step), rtol=1e-2)
    assert towards_mean[0] < 0


def test_mixture_does_not_depend_on_the_order_of_its_components():
    parameters = jax.random.normal(jax.random.key(4), (10, 4))
    x = jnp.asarray(LEVELS[[10, 200, 255]])

    def log_prob(rows):
        return mixture_log_prob(x, rows.reshape(-1))

    np.testing.assert_allclose(
        log_prob(parameters), log_prob(parameters[:, ::-1]), rtol=1e-5
    )


def test_grey_samples_follow_the_mixture():
    draws = 200_000
    parameters = grey_parameters((0.5, 0.9, -2.0), (0.0, -1.0, -1.0))
    sample = sample_mixture(
        jnp.tile(parameters, (draws, 1)), channels=1, key=jax.random.key(5)
    )
    levels = np.round(np.asarray(sample[:, 0]) * 255).astype(int)
    np.testing.assert_allclose(sample[:, 0], LEVELS[levels], atol=1e-6)
    frequency = np.bincount(levels, minlength=256) / draws
    probability = jnp.exp(
        mixture_log_prob(jnp.asarray(LEVELS)[:, None], jnp.tile(parameters, (256, 1)))
    )
    standard_error = np.sqrt(probability * (1 - probability) / draws)
    np.testing.assert_array_less(np.abs(frequency - probability), 5 * standard_error)


def test_colour_samples_follow_the_mixture():
    # The negative entropy of a distribution is the mean log-probability of its draws;
    # here scales are so small that a colour has few levels and all can be listed.
    draws = 100_000
    parameters = jnp.array([0, 0.2, -0.1, 0, -6.5, -6.0, -6.2, 0.9, -0.5, 1.0])
    sample = sample_mixture(
        jnp.tile(parameters, (draws, 1)), channels=3, key=jax.random.key(6)
    )
    colours, counts = np.unique(
        np.round(np.asarray(sample) * 255).astype(int), axis=0, return_counts=True
    )
    log_prob = mixture_log_prob(
        jnp.asarray(colours / 255, jnp.float32), jnp.tile(parameters, (len(colours), 1))
    )
    probability = np.exp(np.asarray(log_prob, np.float64))
    standard_error = np.sqrt(probability * (1 - probability) / draws)
    assert len(colours) > 10
    assert probability.sum() > 0.999
    # Rare colours were found because they came up; judge those that had to.
    common = probability > 1e-3
    error = np.abs(counts / draws - probability)[common]
    np.testing.assert_array_less(error, 5 * standard_error[common])


@pytest.mark.parametrize(
    ("channels", "parameters", "message"),
    [
        (2, 10, "must have 1 or 3 channels, got 2"),
        (1, 10, "multiple of 3 parameters each, got 10"),
        (3, 12, "multiple of 10 parameters each, got 12"),
        (3, 0, "multiple of 10 parameters each, got 0"),
    ],
)
def test_mixture_says_which_parameters_it_wants(channels, parameters, message):
    with pytest.raises(ValueError, match=message):
        mixture_log_prob(jnp.zeros((5, channels)), jnp.zeros((5, parameters)))
    with pytest.raises(ValueError, match=message):
        sample_mixture(
            jnp.zeros((5, parameters)), channels=channels, key=jax.random.key(0)
        )


# Everything


def every_function():
    key = jax.random.key(7)
    rows = jnp.linspace(0.1, 0.9, 5)
    colours, mixtures = jnp.full((5, 3), 0.25), jnp.full((5, 20), 0.5)
    return {
        "normal_log_prob": (distributions.normal_log_prob, (rows, rows, rows)),
        "normal_kl": (distributions.normal_kl, (rows, rows, rows, rows)),
        "bernoulli_log_prob": (distributions.bernoulli_log_prob, (rows, rows)),
        "mixture_log_prob": (mixture_log_prob, (colours, mixtures)),
        "reparameterise": (distributions.reparameterise, (rows, rows, rows)),
        "sample_normal": (
            lambda mean, logvar: distributions.sample_normal(mean, logvar, key=key),
            (rows, rows),
        ),
        "sample_bernoulli": (
            lambda logits: distributions.sample_bernoulli(logits, key=key),
            (rows,),
        ),
        "sample_mixture": (
            lambda p: sample_mixture(p, channels=3, key=key),
            (mixtures,),
        ),
    }


@pytest.mark.parametrize("name", every_function())
def test_half_precision_in_is_float32_inside_and_out(name):
    function, arguments = every_function()[name]
    half = [x.astype(jnp.bfloat16) for x in arguments]
    widened = [x.astype(jnp.float32) for x in half]
    found = function(*half)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, function(*widened))


@pytest.mark.parametrize("name", every_function())
def test_jit_changes_nothing(name):
    function, arguments = every_function()[name]
    np.testing.assert_allclose(
        jax.jit(function)(*arguments), function(*arguments), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", [n for n in every_function() if "sample" not in n])
def test_vmap_is_the_same_as_a_batch(name):
    function, arguments = every_function()[name]
    np.testing.assert_allclose(
        jax.vmap(function)(*arguments), function(*arguments), rtol=1e-5, atol=1e-6
    )
