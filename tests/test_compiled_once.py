"""Steps, maps and predictions compile once, however many batches there are."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import attention, detection, models, objectives, train
from vae_jax.detection import methods
from vae_jax.detection.detector import make_detector
from vae_jax.detection.methods import METHODS, Method

SIZE = 16
VAE = models.VAE(
    models.ConvEncoder((2, 2), 4, 2), models.ConvDecoder((2, 2), 4, (SIZE, SIZE, 1))
)


@pytest.fixture(autouse=True)
def counted_anew():
    chex.clear_trace_counter()


def once(function):
    """Raises if it is traced a second time."""
    return chex.assert_max_traces(function, n=1)


def batches(start):
    rng = np.random.default_rng(start)
    while True:
        yield {"image": rng.random((8, SIZE, SIZE, 1), np.float32)}


def test_a_training_step():
    optimizer, mesh = train.adam(1e-3), train.data_mesh()

    def init(key):
        return models.init(VAE, key=key)["params"], {}

    state = train.create_state(init, optimizer, key=jax.random.key(0), mesh=mesh)
    loss_fn = once(objectives.make_elbo_loss_fn(VAE, gaussian, beta=1.0))
    step = train.make_train_step(loss_fn, optimizer, ema_decay=0.99)
    state = train.fit(
        state, step, batches, steps=7, mesh=mesh, evaluate_every=2,
        evaluate=lambda state: {"step": float(state.step)}, progress=False,
    )  # fmt: skip
    assert int(state.step) == 7


def gaussian(images, decoded):
    return -jnp.square(images - decoded).sum((1, 2, 3))


def test_maps_of_batches_of_one_size():
    variables = models.init(VAE, key=jax.random.key(0))

    def explain(variables, images):
        return attention.attention_maps(VAE, variables, images, tap="relu2")

    compiled = jax.jit(once(explain))
    for batch, _ in zip(batches(0), range(3), strict=False):
        compiled(variables, batch["image"])


@pytest.fixture
def mean_method(monkeypatch):
    """A method that only looks at the image, and is traced once at most."""

    def mean(explainer, evidence, images):
        del explainer, evidence
        return images.mean(-1)

    monkeypatch.setitem(METHODS, "mean", Method("floor", once(mean)))
    return "mean"


@pytest.fixture
def explainer():
    return detection.Explainer(
        VAE, gaussian, jnp.asarray, jnp.asarray, tap="relu2", blur=1.0, choice="mean"
    )


def test_maps_by_name_of_any_number_of_images(mean_method, explainer):
    evidence = detection.Evidence(*[jnp.zeros(())] * len(detection.Evidence._fields))
    for count in (3, 32, 70):
        images = np.full((count, SIZE, SIZE, 1), 51, np.uint8)
        found = methods.make_maps([mean_method], explainer, evidence, images)
        np.testing.assert_allclose(found["mean"], np.full((count, SIZE, SIZE), 0.2))


def test_predictions_of_a_detector_for_any_number_of_images(mean_method, explainer):
    evidence = detection.Evidence(*[jnp.zeros(())] * len(detection.Evidence._fields))
    held_out = np.full((4, SIZE, SIZE, 1), 51, np.uint8)
    detector = make_detector(
        explainer,
        evidence,
        held_out=held_out,
        held_out_maps=held_out[..., 0] / np.float32(255),
        about={},
        batch_size=8,
    )
    for count in (1, 8, 20):
        images = np.full((count, SIZE, SIZE, 1), 51, np.uint8)
        np.testing.assert_allclose(
            detector.maps(images), images[..., 0] / 255, rtol=1e-6
        )
