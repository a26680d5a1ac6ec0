"""A linear VAE that is trained by sampling, beside its optimum in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import losses, models, objectives, train
from vae_jax.latent import linear

FEATURES, LATENTS, STEPS = 5, 2, 1500
MODEL = models.VAE(
    models.MLPEncoder((), LATENTS),
    models.SharedVariance(models.MLPDecoder((), (1, FEATURES, 1))),
)


def rows():
    random = np.random.default_rng(0)
    latents = random.normal(size=(256, 3)) * [2.0, 1.0, 0.4]
    mixed = latents @ random.normal(size=(3, FEATURES))
    mixed += 0.5 * random.normal(size=mixed.shape)
    return ((mixed - mixed.mean(0)) / mixed.std(0)).astype(np.float32)


ROWS = rows()


@pytest.fixture(scope="module")
def trained():
    loss_fn = objectives.make_elbo_loss_fn(
        MODEL, losses.learned_gaussian_log_likelihood
    )
    # Each row many times: the mean of the noise is what costs the last digits.
    images = jnp.tile(ROWS.reshape(-1, 1, FEATURES, 1), (8, 1, 1, 1))
    rate = train.learning_rate(5e-2, steps=STEPS, schedule="cosine")
    optimizer = train.adam(rate)
    step = train.make_train_step(loss_fn, optimizer)
    mesh = train.data_mesh(jax.devices()[:1])

    def init(key):
        return models.init(MODEL, key=key)["params"], {}

    state = train.create_state(
        init, optimizer, key=jax.random.key(0), mesh=mesh, ema=False
    )

    def take_step(state, _):
        return step(state, {"image": images})[0], None

    return jax.jit(lambda s: jax.lax.scan(take_step, s, length=STEPS)[0])(state).params


def test_it_converges_to_probabilistic_pca(trained):
    best = linear.probabilistic_pca(ROWS, latents=LATENTS)
    exact = linear.log_likelihood(best, ROWS).mean()
    head = trained["decoder"]["decoder"]["pixels"]
    _, logvar = losses.learned_gaussian(
        jnp.stack([jnp.zeros(()), trained["decoder"]["logvar"]])
    )
    model = linear.LinearModel(
        np.asarray(head["kernel"].T, np.float64),
        np.asarray(head["bias"], np.float64),
        float(np.exp(logvar[0])),
    )
    mean, logvar = MODEL.apply(
        {"params": trained},
        jnp.asarray(ROWS.reshape(-1, 1, FEATURES, 1)),
        method="encode",
    )
    reached = linear.elbo(
        model, ROWS, mean=np.asarray(mean), logvar=np.asarray(logvar)
    ).mean()
    assert exact - 1e-4 < reached <= exact
    assert model.variance == pytest.approx(best.variance, rel=0.02)


def test_its_latents_lie_along_the_principal_axes(trained):
    """Not only in their plane: a diagonal posterior tells the axes apart."""
    best = linear.probabilistic_pca(ROWS, latents=LATENTS)
    reached = np.asarray(trained["decoder"]["decoder"]["pixels"]["kernel"].T)
    lengths = (np.linalg.norm(w, axis=0) for w in (reached, best.weights))
    cosines = reached.T @ best.weights / np.outer(*lengths)
    np.testing.assert_allclose(np.sort(np.abs(cosines).ravel()), [0, 0, 1, 1], atol=0.1)
