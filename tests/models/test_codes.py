import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import losses, models

ENCODED = jax.random.normal(jax.random.key(0), (4, 3, 2, 5))


@pytest.fixture(scope="module")
def learned():
    module = models.VectorQuantizer(codes=6, features=5)
    codebook = jax.random.normal(jax.random.key(2), (6, 5))
    return module, {"params": {"codebook": codebook}}


def test_each_output_becomes_the_nearest_code_wherever_it_lies(learned):
    module, variables = learned
    found = module.apply(variables, ENCODED)
    rows = np.float64(ENCODED).reshape(-1, 5)
    codebook = np.float64(variables["params"]["codebook"])
    nearest = np.square(rows[:, None] - codebook[None]).sum(2).argmin(1)
    np.testing.assert_array_equal(found.indices.ravel(), nearest)
    assert found.indices.shape == (4, 3, 2)
    np.testing.assert_allclose(found.codes.reshape(-1, 5), codebook[nearest], rtol=1e-6)
    np.testing.assert_allclose(found.latents, found.codes, atol=1e-6)
    vectors = module.apply(variables, ENCODED[:, 0, 0])
    np.testing.assert_array_equal(vectors.indices, found.indices[:, 0, 0])


def test_the_encoder_gets_the_gradient_of_the_codes_and_the_codes_none(learned):
    module, variables = learned
    weights = jax.random.normal(jax.random.key(3), ENCODED.shape)

    def score(encoded, variables):
        return (module.apply(variables, encoded).latents * weights).sum()

    encoder, codebook = jax.grad(score, argnums=(0, 1))(ENCODED, variables)
    np.testing.assert_allclose(encoder, weights, rtol=1e-6)
    assert not codebook["params"]["codebook"].any()


def test_the_codebook_loss_has_the_gradient_of_finite_differences(learned):
    module, variables = learned

    def loss(codebook):
        found = module.apply({"params": {"codebook": codebook}}, ENCODED)
        return losses.codebook_loss(ENCODED, found.codes).sum()

    codebook = variables["params"]["codebook"]
    gradient = jax.grad(loss)(codebook)
    step = jnp.zeros_like(codebook).at[2, 1].set(1e-2)
    # Of a square the central difference is exact, up to rounding: 1e2 · 24 · 6e-8.
    difference = (loss(codebook + step) - loss(codebook - step)) / 2e-2
    assert float(difference) == pytest.approx(float(gradient[2, 1]), abs=0.02)


def test_codes_begin_small_and_even():
    module = models.VectorQuantizer(codes=50, features=5)
    codebook = module.init(jax.random.key(0), ENCODED)["params"]["codebook"]
    assert np.abs(codebook).max() <= 1 / 50
    assert codebook.min() < -0.9 / 50 < 0.9 / 50 < codebook.max()


def averaging(**changes):
    module = models.AveragingQuantizer(codes=6, features=5, **changes)
    variables = module.init(jax.random.key(0), jnp.zeros((1, 5)))
    return module, variables


def step(module, variables, encoded, **given):
    return module.apply(variables, encoded, train=True, mutable=["codebook"], **given)


def test_an_average_begins_at_the_first_batch_and_follows_it():
    module, variables = averaging(decay=0.9)
    rows = np.float64(ENCODED).reshape(-1, 5)
    found, variables = step(module, variables, ENCODED)
    begin, share = rows[::4], 6 / len(rows)
    nearest = np.square(rows[:, None] - begin[None]).sum(2).argmin(1)
    np.testing.assert_array_equal(found.indices.ravel(), nearest)
    counts, sums = np.ones(6), begin
    for _ in range(2):
        chosen = share * np.eye(6)[nearest]
        counts = 0.9 * counts + 0.1 * chosen.sum(0)
        sums = 0.9 * sums + 0.1 * chosen.T @ rows
        codes = sums / counts[:, None]
        state = variables["codebook"]
        np.testing.assert_allclose(state["counts"], counts, rtol=1e-5)
        np.testing.assert_allclose(state["codes"], codes, rtol=1e-4, atol=1e-5)
        nearest = np.square(rows[:, None] - codes[None]).sum(2).argmin(1)
        found, variables = step(module, variables, ENCODED)
        np.testing.assert_array_equal(found.indices.ravel(), nearest)


def test_a_batch_copied_behind_itself_moves_the_codes_alike():
    found = []
    for encoded in (ENCODED, jnp.concatenate([ENCODED, ENCODED])):
        module, variables = averaging()
        _, variables = step(module, variables, ENCODED)  # where the codes begin
        for _ in range(3):
            _, variables = step(module, variables, encoded)
        found.append(variables["codebook"]["codes"])
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


def test_a_batch_of_any_length_will_do():
    module, variables = averaging()
    for rows in (2, 24, 7):
        found, variables = step(module, variables, ENCODED.reshape(-1, 5)[:rows])
        assert found.indices.shape == (rows,)
    assert np.isfinite(variables["codebook"]["codes"]).all()


def test_evaluation_changes_nothing_and_says_the_same_twice():
    module, variables = averaging()
    _, variables = step(module, variables, ENCODED)
    once, twice = (module.apply(variables, ENCODED) for _ in range(2))
    np.testing.assert_array_equal(once.codes, twice.codes)
    assert set(np.unique(once.codes.reshape(-1, 5)[:, 0])) <= set(
        np.asarray(variables["codebook"]["codes"][:, 0])
    )


def test_a_dead_code_is_put_where_something_is():
    """All outputs lie at one place, so that five of six codes are never chosen."""
    module, variables = averaging(decay=0.5)
    _, variables = step(module, variables, ENCODED)
    far = jnp.full((24, 5), 9.0)
    for time in range(12):
        keys = {"codes": jax.random.key(time)}
        _, variables = step(module, variables, far, rngs=keys)
    np.testing.assert_allclose(variables["codebook"]["codes"], 9.0, rtol=0.2)
    module, variables = averaging(decay=0.5)
    _, variables = step(module, variables, ENCODED)
    for _ in range(12):
        _, variables = step(module, variables, far)
    assert (np.abs(variables["codebook"]["codes"]) < 4).all(axis=1).sum() == 5


@pytest.mark.parametrize(("offset", "spread"), [(100.0, 0.1), (1000.0, 1.0)])
def test_codes_far_from_the_origin_are_told_apart(offset, spread):
    rng = np.random.default_rng(0)
    rows, codebook = (
        jnp.float32(offset + spread * rng.normal(size=(n, 5))) for n in (300, 64)
    )
    module = models.VectorQuantizer(codes=64, features=5)
    found = module.apply({"params": {"codebook": codebook}}, rows)
    square = np.square(np.float64(rows)[:, None] - np.float64(codebook)[None]).sum(2)
    chosen = np.take_along_axis(square, np.asarray(found.indices)[:, None], 1)[:, 0]
    # Coordinates keep 24 bits; so does the distance, in units of the spread.
    np.testing.assert_allclose(chosen, square.min(1), atol=1e-4 * spread**2)


def test_averages_of_outputs_of_16_bits_are_float32():
    module, variables = averaging()
    before = jax.tree.map(lambda x: x.dtype, variables["codebook"])
    _, variables = step(module, variables, ENCODED.astype(jnp.bfloat16))
    assert jax.tree.map(lambda x: x.dtype, variables["codebook"]) == before
    half = module.init(jax.random.key(0), jnp.zeros((1, 5), jnp.bfloat16))
    assert half["codebook"]["codes"].dtype == jnp.float32


def test_channels_in_another_place_are_refused(learned):
    module, variables = learned
    with pytest.raises(ValueError, match=r"of 5 features, got .*; move the channels"):
        module.apply(variables, jnp.zeros((2, 5, 3, 3)))
