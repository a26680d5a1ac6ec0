import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import losses, models, objectives

CLASSES = 3
IMAGES = jax.random.uniform(jax.random.key(0), (6, 4, 4, 1))
LABELS = jnp.array([0, 1, 2, 0, 1, 2])
LIKELIHOOD = losses.bernoulli_log_likelihood


def conditional(**changes):
    given = {"hidden": (8, 7), "image_shape": (4, 4, 1), "latents": 2} | changes
    return models.ConditionalVAE(CLASSES, **given)


@pytest.fixture(scope="module")
def m2():
    model = models.M2(conditional(), hidden=(5,))
    params = models.init_conditional(model, key=jax.random.key(1))["params"]
    return model, params


def loss_of(loss_fn, params, batch, *, key=0, **given):
    return loss_fn(params, {}, batch, key=jax.random.key(key), step=0, **given)


def test_the_conditional_loss_is_distortion_and_rate_to_the_prior_of_the_class():
    model = conditional(prior_of="class", embedding=3)
    params = models.init_conditional(model, key=jax.random.key(1))["params"]
    batch = {"image": IMAGES, "label": LABELS}
    loss_fn = objectives.make_conditional_loss_fn(model, LIKELIHOOD, beta=2.0)
    loss, aux = loss_of(loss_fn, params, batch)
    # By hand, in float64 but for the network.
    noise = jax.random.normal(jax.random.key(0), (6, 2))
    apply = jax.tree_util.Partial(model.apply, {"params": params})
    mean, logvar, _, logits = map(np.float64, apply(IMAGES, LABELS, noise=noise))
    prior_mean, prior_logvar = map(np.float64, apply(LABELS, method="prior"))
    x = np.float64(IMAGES)
    distortion = (np.logaddexp(0, logits) - x * logits).sum((1, 2, 3)).mean()
    ratio = np.exp(logvar - prior_logvar)
    shift = (mean - prior_mean) ** 2 / np.exp(prior_logvar)
    rate = 0.5 * (ratio + shift - 1 - logvar + prior_logvar).sum(1).mean()
    assert float(loss) == pytest.approx(distortion + 2 * rate, rel=1e-5)
    assert float(aux.metrics["rate"]) == pytest.approx(rate, rel=1e-5)


def test_class_and_noise_reach_what_is_drawn():
    model = conditional()
    variables = models.init_conditional(model, key=jax.random.key(1))
    latents = jnp.ones((2, 2))
    same, other = model.apply(variables, latents, jnp.array([0, 2]), method="decode")
    assert np.abs(same - other).max() > 0.01
    one = model.apply(variables, IMAGES[:1], jnp.array([0]), method="encode")
    two = model.apply(variables, IMAGES[:1], jnp.array([1]), method="encode")
    assert np.abs(one.mean - two.mean).max() > 0.01


def test_with_all_labels_known_m2_is_the_conditional_vae_and_a_classifier(m2):
    model, params = m2
    loss_fn = objectives.make_m2_loss_fn(model, LIKELIHOOD)
    batch = {"image": IMAGES[:1], "labelled_image": IMAGES, "label": LABELS}
    hyper = {"alpha": 0.1, "labelled_share": 1.0}
    loss, aux = loss_of(loss_fn, params, batch, hyper=hyper)
    key = jax.random.split(jax.random.key(0))[0]
    alone, _ = objectives.make_conditional_loss_fn(model.vae, LIKELIHOOD)(
        params["vae"], {}, {"image": IMAGES, "label": LABELS}, key=key, step=0
    )
    logits = model.apply({"params": params}, IMAGES, method="classify")
    entropy = losses.cross_entropy(logits, LABELS).mean()
    wanted = alone + np.log(CLASSES) + 0.1 * entropy
    assert float(loss) == pytest.approx(float(wanted), rel=1e-5)
    assert float(aux.metrics["cross_entropy"]) == pytest.approx(float(entropy))


def test_an_unlabelled_image_is_tried_as_every_class(m2):
    model, params = m2
    loss_fn = objectives.make_m2_loss_fn(model, LIKELIHOOD)
    batch = {"image": IMAGES[:1], "labelled_image": IMAGES[1:], "label": LABELS[1:]}
    loss, aux = loss_of(
        loss_fn, params, batch, hyper={"alpha": 0.0, "labelled_share": 0.25}
    )
    keys = jax.random.split(jax.random.split(jax.random.key(0))[1], CLASSES)
    each = [
        objectives.conditional_terms(
            model.vae,
            LIKELIHOOD,
            params["vae"],
            IMAGES[:1],
            jnp.array([label]),
            key=keys[label],
        ).loss[0]
        + np.log(CLASSES)
        for label in range(CLASSES)
    ]
    logits = model.apply({"params": params}, IMAGES[:1], method="classify")
    q = np.exp(np.float64(jax.nn.log_softmax(logits)))[0]
    wanted = q @ np.array(each) + q @ np.log(q)
    assert float(aux.metrics["unlabelled"]) == pytest.approx(wanted, rel=1e-5)
    both = 0.75 * aux.metrics["unlabelled"] + 0.25 * aux.metrics["labelled"]
    assert float(loss) == pytest.approx(float(both), rel=1e-5)


def test_a_doubled_batch_has_the_same_loss_in_the_mean(m2):
    model, params = m2
    loss_fn = jax.jit(objectives.make_m2_loss_fn(model, LIKELIHOOD))
    hyper = {"alpha": 0.1, "labelled_share": 0.5}
    batch = {"image": IMAGES, "labelled_image": IMAGES, "label": LABELS}
    doubled = jax.tree.map(lambda x: jnp.concatenate([x, x]), batch)
    found = [
        [
            float(loss_of(loss_fn, params, each, key=key, hyper=hyper)[0])
            for key in range(60)
        ]
        for each in (batch, doubled)
    ]
    error = np.std(found, axis=1).max() / 60**0.5
    assert np.mean(found[0]) == pytest.approx(np.mean(found[1]), abs=6 * error)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"image": IMAGES}, 'whole numbers as "label", got none'),
        ({"image": IMAGES, "label": LABELS / 1}, "got them as float32"),
        ({"image": LABELS, "label": LABELS}, "floating-point images"),
    ],
)
def test_batches_without_images_or_labels_are_refused(batch, message):
    model = conditional()
    loss_fn = objectives.make_conditional_loss_fn(model, LIKELIHOOD)
    with pytest.raises(ValueError, match=message):
        loss_of(loss_fn, {}, batch)


def test_what_does_not_fit_is_refused(m2):
    model, params = m2
    with pytest.raises(ValueError, match="with a label each, got"):
        model.vae.apply({"params": params["vae"]}, IMAGES, LABELS[:2], method="encode")


@pytest.mark.parametrize("embedding", [None, 3])
@pytest.mark.parametrize("label", [-1, CLASSES])
def test_a_label_that_is_no_class_is_refused_and_inside_jit_gives_nan(label, embedding):
    model = conditional(embedding=embedding)
    params = models.init_conditional(model, key=jax.random.key(1))["params"]
    wrong = {"image": IMAGES, "label": LABELS.at[0].set(label)}
    loss_fn = objectives.make_conditional_loss_fn(model, LIKELIHOOD)
    with pytest.raises(ValueError, match="from 0 to 2, got"):
        loss_of(loss_fn, params, wrong)
    assert np.isnan(loss_of(jax.jit(loss_fn), params, wrong)[0])
