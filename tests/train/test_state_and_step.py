import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_jax.train import Aux, create_state, data_mesh, make_train_step
from vae_jax.train.sharding import put_batches
from vae_jax.train.step import ema_decay_at, jit_steps


@pytest.fixture
def mesh():
    return data_mesh()


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def assert_same_bits(one, other):
    jax.tree.map(np.testing.assert_array_equal, leaves(one), leaves(other))


def line_loss(params, model_state, batch, *, key, step):
    """Its gradient is the mean of the batch, whatever the parameter."""
    loss = jnp.mean(batch) * params
    return loss, Aux({"twice": 2 * loss}, {})


def line_state(optimizer, mesh, *, ema):
    key = jax.random.key(0)
    return create_state(
        lambda key: (jnp.float32(1.0), {}), optimizer, key=key, mesh=mesh, ema=ema
    )


def test_sgd_on_a_line_known_answers(mesh):
    optimizer = optax.sgd(0.1)
    step = make_train_step(line_loss, optimizer, ema_decay=0.5)
    state = line_state(optimizer, mesh, ema=True)
    state, metrics = step(state, jnp.array([1.0, 3.0]))  # 1 - 0.1 * 2
    assert float(state.params) == pytest.approx(0.8)
    assert float(state.ema_params) == pytest.approx(0.1 * 1.0 + 0.9 * 0.8)
    assert {name: float(value) for name, value in metrics.items()} == pytest.approx(
        {"loss": 2.0, "twice": 4.0, "grad_norm": 2.0}
    )
    state, _ = step(state, jnp.array([-4.0, 4.0]))  # no gradient
    assert float(state.params) == pytest.approx(0.8)
    assert float(state.ema_params) == pytest.approx(2 / 11 * 0.82 + 9 / 11 * 0.8)
    assert int(state.step) == 2


def test_ema_decay_starts_at_a_tenth_and_ends_at_the_given_one():
    values = [float(ema_decay_at(jnp.int32(t), decay=0.99)) for t in (0, 8, 889, 10**6)]
    np.testing.assert_allclose(values, [0.1, 0.5, 890 / 899, 0.99], rtol=1e-6)


def test_without_an_average_the_parameters_are_evaluated(mesh):
    optimizer = optax.sgd(0.1)
    state = line_state(optimizer, mesh, ema=False)
    state, _ = make_train_step(line_loss, optimizer)(state, jnp.array([2.0]))
    assert state.ema_params is None
    assert state.eval_params is state.params


@pytest.mark.parametrize(("ema", "decay"), [(True, None), (False, 0.9)])
def test_average_must_be_both_kept_and_updated(mesh, ema, decay):
    optimizer = optax.sgd(0.1)
    step = make_train_step(line_loss, optimizer, ema_decay=decay)
    with pytest.raises(ValueError, match=r"^make_train_step: ema_decay must be given"):
        step(line_state(optimizer, mesh, ema=ema), jnp.array([2.0]))


def test_state_is_made_from_the_key_alone(toy, mesh):
    assert_same_bits(toy.new_state(mesh), toy.new_state(mesh))
    other = create_state(toy.init, toy.optimizer(), key=jax.random.key(1), mesh=mesh)
    same = toy.new_state(mesh)
    assert not np.array_equal(other.params["out"], same.params["out"])
    assert not np.array_equal(other.key_data, same.key_data)


def test_every_step_has_its_own_key(mesh):
    def draw(params, model_state, batch, *, key, step):
        return params * 0, Aux({"draw": jax.random.uniform(key), "at": step}, {})

    optimizer = optax.sgd(0.1)
    state = line_state(optimizer, mesh, ema=False)
    take_steps = jit_steps(make_train_step(draw, optimizer), mesh)
    zeros = put_batches([np.zeros(8, np.float32)] * 5, mesh)
    with jax.debug_key_reuse(True):
        _, metrics = take_steps(state, zeros)
    assert metrics["at"].tolist() == [0, 1, 2, 3, 4]
    assert len(set(metrics["draw"].tolist())) == 5


def run(toy, mesh, *, steps, per_call):
    """The final state and each step's loss."""
    take_steps = jit_steps(toy.train_step(), mesh)
    state, losses = toy.new_state(mesh), []
    batches = itertools.islice(toy.batches(0), steps)
    while taken := list(itertools.islice(batches, per_call)):
        state, metrics = take_steps(state, put_batches(taken, mesh))
        losses.extend(metrics["loss"].tolist())
    return state, losses


def test_steps_in_one_dispatch_are_the_steps_one_by_one(toy, mesh):
    state, losses = run(toy, mesh, steps=8, per_call=1)
    scanned, scanned_losses = run(toy, mesh, steps=8, per_call=3)  # 3, 3, 2
    # Not bit for bit: written out on CPU, XLA fuses and rounds across the steps.
    np.testing.assert_allclose(scanned_losses, losses, rtol=1e-6)
    for one, other in zip(leaves(scanned), leaves(state), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_one_device_and_eight_make_the_same_steps(toy):
    one, losses = run(toy, data_mesh(jax.devices()[:1]), steps=8, per_call=1)
    eight, spread_losses = run(toy, data_mesh(), steps=8, per_call=1)
    assert len(eight.step.sharding.device_set) == 8
    np.testing.assert_allclose(spread_losses, losses, rtol=1e-6)
    for single, spread in zip(leaves(one), leaves(eight), strict=True):
        np.testing.assert_allclose(spread, single, rtol=1e-5, atol=1e-6)


def test_the_state_given_is_used_up(toy, mesh):
    state = toy.new_state(mesh)
    jit_steps(toy.train_step(), mesh)(state, put_batches([next(toy.batches(0))], mesh))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.params))
