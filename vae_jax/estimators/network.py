"""The VAE of a table: trained as one program, scored in chunks of one size."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, Literal, assert_never, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae_jax import losses, models, train
from vae_jax.distributions import reparameterise

Likelihood = Literal["gaussian", "bernoulli"]
ScoreType = Literal["reconstruction", "elbo", "kl", "importance_weighted"]
Rows = Float[Array | np.ndarray, "row 1 feature 1"]
Params = dict[str, Any]
"""Of the network ("vae"), and the Gaussian's log-variance ("logvar")."""

_CHUNK = 256
"""Rows scored at a time. Chunks are filled up, so that a row's score is the same
whatever rows come with it, and nothing is compiled twice."""


def train_rows(
    model: models.VAE,
    likelihood: Likelihood,
    rows: Rows,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    beta: float,
    key: Array,
) -> tuple[Params, float]:
    """The trained parameters, and the loss of the last step in nats.

    A step draws `batch_size` rows with replacement; an epoch is as many steps as it
    takes to draw as many rows as there are.
    """
    count = len(rows)
    # Filled up, so that tables of many lengths share a compiled program.
    filled = _fill(rows, 1 << (count - 1).bit_length())
    steps = epochs * -(-count // batch_size)
    params, loss = _train(
        model,
        likelihood,
        filled,
        jnp.asarray(count),
        jnp.asarray(steps),
        key,
        beta=beta,
        batch_size=batch_size,
        learning_rate=learning_rate,
    )
    return jax.tree.map(np.asarray, params), float(loss)


def score_rows(
    model: models.VAE,
    likelihood: Likelihood,
    score_type: ScoreType,
    params: Params,
    rows: Rows,
    noise: Float[np.ndarray, "sample latent"],
) -> Float[np.ndarray, " row"]:
    """The score of each row in nats, with the same noise for all."""
    return _in_chunks(
        lambda chunk: _scores(model, likelihood, score_type, params, chunk, noise), rows
    )


def encode_rows(
    model: models.VAE, params: Params, rows: Rows
) -> Float[np.ndarray, "row latent"]:
    """The posterior mean of each row."""
    return _in_chunks(lambda chunk: _means(model, params, chunk), rows)


def decode_rows(
    model: models.VAE,
    likelihood: Likelihood,
    params: Params,
    latents: Float[np.ndarray, "row latent"],
) -> Float[np.ndarray, "row feature"]:
    """The expected features of each row of latents, as the network has them."""
    return _in_chunks(
        lambda chunk: _expected(model, likelihood, params, chunk), latents
    )


def _in_chunks(
    function: Callable[[np.ndarray], Array], rows: Any
) -> Float[np.ndarray, "row ..."]:
    found = [np.asarray(function(_fill(chunk, _CHUNK))) for chunk in _chunks(rows)]
    return np.concatenate(found)[: len(rows)]


def _fill(rows: Any, count: int) -> np.ndarray:
    zeros = np.zeros((count - len(rows), *rows.shape[1:]), rows.dtype)
    return np.concatenate([rows, zeros])


def _chunks(rows: Any) -> Iterator[Any]:
    return (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))


@functools.partial(
    jax.jit,
    static_argnames=("model", "likelihood", "batch_size", "learning_rate", "beta"),
)
def _train(
    model: models.VAE,
    likelihood: Likelihood,
    rows: Rows,
    count: Array,
    steps: Array,
    key: Array,
    *,
    beta: float,
    batch_size: int,
    learning_rate: float,
) -> tuple[Params, Array]:
    """The trained parameters and the last loss: the whole run is one program."""

    def loss_fn(params, model_state, batch, *, key, step):
        del step
        noise = jax.random.normal(key, (batch_size, model.latents))
        output = cast(
            models.VAEOutput,
            model.apply({"params": params["vae"]}, batch, noise=noise),
        )
        terms = losses.negative_elbo(
            _log_likelihood(likelihood, params, batch, output.decoded),
            losses.gaussian_kl(output.mean, output.logvar),
            beta=beta,
        )
        return terms.loss.mean(), train.Aux({}, model_state)

    optimizer = train.adam(learning_rate)
    take_step = train.make_train_step(loss_fn, optimizer)
    init_key, batch_key, run_key = jax.random.split(key, 3)
    # A variance that begins at that of the features, which are standardised.
    params = {
        "vae": models.init(model, key=init_key)["params"],
        "logvar": jnp.zeros(()),
    }
    state = train.TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        model_state={},
        opt_state=optimizer.init(params),
        ema_params=None,
        key_data=jax.random.key_data(run_key),
    )

    def body(step, carry):
        state, _ = carry
        chosen = jax.random.randint(
            jax.random.fold_in(batch_key, step), (batch_size,), 0, count
        )
        state, metrics = take_step(state, rows[chosen])
        return state, metrics["loss"]

    state, loss = jax.lax.fori_loop(0, steps, body, (state, jnp.zeros(())))
    return state.params, loss


@functools.partial(jax.jit, static_argnames=("model", "likelihood", "score_type"))
def _scores(
    model: models.VAE,
    likelihood: Likelihood,
    score_type: ScoreType,
    params: Params,
    rows: Rows,
    noise: Float[Array, "sample latent"],
) -> Float[Array, " row"]:
    variables = {"params": params["vae"]}
    encoded = model.apply(variables, rows, method="encode")
    mean, logvar = cast(models.Posterior, encoded)
    rate = losses.gaussian_kl(mean, logvar).sum(-1)

    def log_likelihood_at(latents: Float[Array, "row latent"]) -> Float[Array, " row"]:
        decoded = model.apply(variables, latents, method="decode")
        return _log_likelihood(likelihood, params, rows, decoded)

    def sampled(
        noise: Float[Array, " latent"],
    ) -> tuple[Float[Array, " row"], Float[Array, " row"]]:
        common = jnp.broadcast_to(noise, mean.shape)
        latents = reparameterise(mean, logvar, common)
        found = log_likelihood_at(latents)
        return found, losses.log_importance_weight(found, latents, common, logvar)

    match score_type:
        case "reconstruction":
            return log_likelihood_at(mean)
        case "kl":
            return -rate
        case "elbo":
            return jax.vmap(sampled)(noise)[0].mean(0) - rate
        case "importance_weighted":
            return losses.importance_weighted_bound(jax.vmap(sampled)(noise)[1])
        case _:
            assert_never(score_type)


@functools.partial(jax.jit, static_argnames="model")
def _means(model: models.VAE, params: Params, rows: Rows) -> Float[Array, "row latent"]:
    encoded = model.apply({"params": params["vae"]}, rows, method="encode")
    return cast(models.Posterior, encoded).mean


@functools.partial(jax.jit, static_argnames=("model", "likelihood"))
def _expected(
    model: models.VAE,
    likelihood: Likelihood,
    params: Params,
    latents: Float[Array, "row latent"],
) -> Float[Array, "row feature"]:
    decoded = model.apply({"params": params["vae"]}, latents, method="decode")
    features = cast(Array, decoded)[:, 0, :, 0]
    return jax.nn.sigmoid(features) if likelihood == "bernoulli" else features


def _log_likelihood(
    likelihood: Likelihood, params: Params, rows: Rows, decoded: Any
) -> Float[Array, " row"]:
    rows = jnp.asarray(rows)
    match likelihood:
        case "gaussian":
            return losses.gaussian_log_likelihood(
                rows, decoded, logvar=params["logvar"]
            )
        case "bernoulli":
            return losses.bernoulli_log_likelihood(rows, decoded)
        case _:
            assert_never(likelihood)
