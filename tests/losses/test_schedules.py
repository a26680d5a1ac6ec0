from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import losses

SCHEDULES = {
    "linear": partial(losses.linear_beta, warmup_steps=10),
    "cosine": partial(losses.cosine_beta, warmup_steps=10),
    "cyclical": partial(losses.cyclical_beta, total_steps=40, cycles=4),
}


@pytest.mark.parametrize(
    ("step", "weight"), [(0, 0.0), (1, 0.1), (5, 0.5), (10, 1.0), (10**9, 1.0)]
)
def test_linear_known_answers(step, weight):
    found = losses.linear_beta(step, warmup_steps=10)
    np.testing.assert_allclose(found, weight, rtol=1e-6)


@pytest.mark.parametrize(
    ("step", "weight"),
    [(0, 0.0), (4, 0.25), (6, 0.5), (8, 0.75), (12, 1.0), (10**9, 1.0)],
)
def test_cosine_known_answers(step, weight):
    # (1 - cos(pi / 3)) / 2 = 1 / 4.
    found = losses.cosine_beta(step, warmup_steps=12)
    np.testing.assert_allclose(found, weight, rtol=1e-6)


@pytest.mark.parametrize(
    ("step", "weight"),
    [(0, 0), (1, 0.2), (4, 0.8), (5, 1), (9, 1), (10, 0), (12, 0.4), (39, 1), (40, 1)],
)
def test_cyclical_known_answers(step, weight):
    # Four cycles of ten steps, the first five of which rise.
    found = losses.cyclical_beta(step, total_steps=40, cycles=4, ramp_fraction=0.5)
    np.testing.assert_allclose(found, weight, rtol=1e-6, atol=1e-7)


def test_one_cycle_that_rises_all_the_way_is_linear():
    steps = jnp.arange(50)
    cyclical = partial(
        losses.cyclical_beta, total_steps=30, cycles=1, ramp_fraction=1.0
    )
    linear = partial(losses.linear_beta, warmup_steps=30)
    np.testing.assert_allclose(
        jax.vmap(cyclical)(steps), jax.vmap(linear)(steps), rtol=1e-6
    )


def test_cycles_need_not_divide_the_steps():
    weights = jax.vmap(partial(losses.cyclical_beta, total_steps=100, cycles=7))(
        jnp.arange(200)
    )
    assert int((jnp.diff(weights) < 0).sum()) == 6  # Seven rises, six falls.
    np.testing.assert_array_equal(weights[100:], 1.0)


def test_the_position_in_a_cycle_is_exact_late_in_a_long_run():
    # Step 2^26 + 3 is not a float32.
    found = losses.cyclical_beta(2**26 + 3, total_steps=2**28, cycles=4)
    np.testing.assert_allclose(found, 3 / 2**25, rtol=1e-6)


@pytest.mark.parametrize(
    ("total_steps", "cycles"),
    [(50_000_000, 100), (2**31 - 1, 7), (2**31 - 1, 32_767), (10_007, 101), (40, 40)],
)
def test_the_position_is_exact_where_the_product_overflows(total_steps, cycles):
    steps = np.random.default_rng(0).integers(total_steps, size=200).tolist()
    steps += [0, 22_000_050 % total_steps, total_steps - 1]
    schedule = partial(
        losses.cyclical_beta, total_steps=total_steps, cycles=cycles, ramp_fraction=1.0
    )
    # By integers of any size.
    expected = [step * cycles % total_steps / total_steps for step in steps]
    found = jax.vmap(schedule)(jnp.array(steps))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_kind_of_number_that_counts_steps_does_not_matter():
    schedule = partial(losses.cyclical_beta, total_steps=1001, cycles=7)
    expected = 60 * 7 % 1001 / 500.5
    for dtype in (jnp.uint8, jnp.uint32, jnp.int8, jnp.int32, jnp.float32):
        np.testing.assert_allclose(schedule(dtype(60)), expected, rtol=1e-6)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_the_same_traced_and_stays_within_zero_and_one(name):
    schedule = SCHEDULES[name]
    plain = np.array([schedule(step) for step in range(0, 60, 7)])
    traced = jax.jit(jax.vmap(schedule))(jnp.arange(0, 60, 7))
    np.testing.assert_allclose(traced, plain, rtol=1e-6)
    assert traced.dtype == jnp.float32
    assert plain.min() == 0
    assert plain.max() == 1


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_a_warm_up_never_falls(name):
    weights = jax.vmap(SCHEDULES[name])(jnp.arange(30))
    assert np.all(np.diff(weights) >= 0)


@pytest.mark.parametrize(
    ("schedule", "options", "message"),
    [
        (
            losses.linear_beta,
            {"warmup_steps": 0},
            "linear_beta: warmup_steps must be at least 1, got 0",
        ),
        (
            losses.cosine_beta,
            {"warmup_steps": -3},
            "cosine_beta: warmup_steps must be at least 1, got -3",
        ),
        (
            losses.cyclical_beta,
            {"total_steps": 10, "cycles": 0},
            "cyclical_beta: cycles must be at least 1, got 0",
        ),
        (
            losses.cyclical_beta,
            {"total_steps": 10**6, "cycles": 2**15},
            "cyclical_beta: cycles must be at most 32767, got 32768; more would",
        ),
        (
            losses.cyclical_beta,
            {"total_steps": 3},
            "cyclical_beta: total_steps must be at least cycles=4, got 3",
        ),
        (
            losses.cyclical_beta,
            {"total_steps": 10, "ramp_fraction": 0.0},
            r"cyclical_beta: ramp_fraction must be in \(0, 1\], got 0.0",
        ),
        (
            losses.cyclical_beta,
            {"total_steps": 10, "ramp_fraction": 1.5},
            r"cyclical_beta: ramp_fraction must be in \(0, 1\], got 1.5",
        ),
    ],
)
def test_an_impossible_schedule_is_refused(schedule, options, message):
    with pytest.raises(ValueError, match=message):
        schedule(0, **options)


@pytest.mark.parametrize(
    ("schedule", "length"),
    [
        (losses.linear_beta, "warmup_steps"),
        (losses.cosine_beta, "warmup_steps"),
        (losses.cyclical_beta, "total_steps"),
    ],
)
def test_a_length_may_be_traced(schedule, length):
    traced = jax.jit(lambda step, steps: schedule(step, **{length: steps}))
    for step in (0, 7, 25, 60):
        np.testing.assert_allclose(
            traced(step, 50), schedule(step, **{length: 50}), rtol=1e-6
        )
