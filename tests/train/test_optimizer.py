import inspect

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_jax.train import adam, by_part, learning_rate


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_warm_up_is_a_line_from_zero_to_the_peak(schedule):
    rate = learning_rate(0.8, steps=100, warmup_steps=20, schedule=schedule)
    values = [float(rate(step)) for step in (0, 5, 10, 20)]
    np.testing.assert_allclose(values, [0.0, 0.2, 0.4, 0.8], rtol=1e-6)


def test_cosine_is_half_in_the_middle_and_zero_at_the_end():
    rate = learning_rate(0.8, steps=100, warmup_steps=20, schedule="cosine")
    quarter = 0.4 * (1 + np.cos(np.pi / 4))
    values = [float(rate(step)) for step in (40, 60, 100)]
    np.testing.assert_allclose(values, [quarter, 0.4, 0.0], rtol=1e-6, atol=1e-8)


def test_constant_stays_at_the_peak():
    rate = learning_rate(0.8, steps=100)
    assert float(rate(0)) == float(rate(99)) == pytest.approx(0.8)


@pytest.mark.parametrize("warmup_steps", [-1, 100, 101])
def test_warm_up_must_end_within_the_run(warmup_steps):
    with pytest.raises(ValueError, match=r"^learning_rate: warmup_steps .* got"):
        learning_rate(0.8, steps=100, warmup_steps=warmup_steps)


def test_an_unknown_schedule_is_refused():
    wanted = "^learning_rate: schedule must be one of constant, cosine, got 'cosin'"
    # Unwrapped, because the type checks of the test run would speak first.
    with pytest.raises(ValueError, match=wanted):
        inspect.unwrap(learning_rate)(0.8, steps=100, schedule="cosin")


def updates(optimizer, gradients, *, parameter=3.0):
    """The updates that a sequence of scalar gradients makes, parameter held fixed."""
    parameter = jnp.float32(parameter)
    state, made = optimizer.init(parameter), []
    for gradient in gradients:
        update, state = optimizer.update(jnp.float32(gradient), state, parameter)
        made.append(float(update))
    return made


def test_first_adam_update_is_the_learning_rate_against_the_sign():
    made = updates(adam(0.01), [-7.0])
    # The correction 1 - 0.999 keeps as little of float32 as 6e-8 / 0.001, and its root
    # half of that.
    np.testing.assert_allclose(made, [0.01], rtol=4e-5)


def test_adam_sees_the_clipped_gradient():
    # Clipping 10 to 1 and leaving 1/2, the bias-corrected moments of the second update
    # are (0.9 * 0.1 + 0.1 / 2) / 0.19 and (0.999 * 0.001 + 0.001 / 4) / 0.001999.
    second = -0.01 * (0.14 / 0.19) / np.sqrt(0.001249 / 0.001999)
    made = updates(adam(0.01, clip_norm=1.0), [10.0, 0.5])
    np.testing.assert_allclose(made, [-0.01, second], rtol=1e-4)


def test_weight_decay_is_decoupled_from_the_gradient():
    made = updates(adam(0.01, weight_decay=0.1), [0.0], parameter=3.0)
    np.testing.assert_allclose(made, [-0.01 * 0.1 * 3.0], rtol=1e-5)


def test_the_betas_are_the_decay_rates_of_the_means():
    # Gradients 1 and 3: means (0.5 * 0.5 + 0.5 * 3) / 0.75 and
    # (0.9 * 0.1 + 0.1 * 9) / 0.19, bias corrected.
    second = -0.01 * (1.75 / 0.75) / np.sqrt(0.99 / 0.19)
    made = updates(adam(0.01, betas=(0.5, 0.9)), [1.0, 3.0])
    np.testing.assert_allclose(made, [-0.01, second], rtol=1e-4)


def test_each_part_has_its_own_optimiser():
    optimizer = by_part({"vae": optax.sgd(0.1), "discriminator": optax.sgd(1.0)})
    params = {"discriminator": jnp.ones(2), "vae": {"a": jnp.ones(3), "b": jnp.ones(1)}}
    made, _ = optimizer.update(params, optimizer.init(params), params)
    np.testing.assert_allclose(made["discriminator"], -np.ones(2))
    np.testing.assert_allclose(made["vae"]["a"], -0.1 * np.ones(3), rtol=1e-6)
    np.testing.assert_allclose(made["vae"]["b"], [-0.1], rtol=1e-6)


def test_every_part_needs_an_optimiser():
    optimizer = by_part({"vae": optax.sgd(0.1)})
    wanted = r"parameters, \['discriminator', 'vae'\], got \['vae'\]\.$"
    with pytest.raises(ValueError, match=wanted):
        optimizer.init({"vae": jnp.ones(2), "discriminator": jnp.ones(2)})
