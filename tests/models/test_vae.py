import functools
import inspect

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import models
from vae_jax.models import (
    init,
    mnist_vae,
    ped1_vae,
    repro2021_ped1_vae,
    resnet18_vae,
    small_vae,
)
from vae_jax.models.conv import ConvDecoder, ConvEncoder
from vae_jax.models.vae import VAE

KEYS = jax.random.split(jax.random.key(0), 3)
IMAGES = jax.random.uniform(KEYS[0], (4, 10, 8, 3))
NOISE = jax.random.normal(KEYS[1], (4, 5))


def _tiny(norm="batch", dtype=jnp.float32):
    channels, hidden = (4, 6), 8
    return VAE(
        ConvEncoder(channels, hidden, latents=5, norm=norm, dtype=dtype),
        ConvDecoder(channels, hidden, (10, 8, 3), norm=norm, dtype=dtype),
    )


@pytest.fixture(scope="module")
def variables():
    return init(_tiny(), key=KEYS[2])


def _shapes(model, batch=2):
    """Variables and outputs of `model` without computing either."""
    variables = jax.eval_shape(functools.partial(init, model), key=KEYS[0])
    images = jax.ShapeDtypeStruct((batch, *model.image_shape), jnp.float32)
    noise = jax.ShapeDtypeStruct((batch, model.latents), jnp.float32)
    return variables, *jax.eval_shape(
        functools.partial(model.apply, mutable=["perturbations"]),
        variables,
        images,
        noise=noise,
    )


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (mnist_vae(), 13_216_193),
        (ped1_vae(), 77_243_073),
        (repro2021_ped1_vae(), 77_243_585),
    ],
)
def test_published_networks_to_the_parameter(model, count):
    variables, output, _ = _shapes(model)
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == count
    assert output.mean.shape == output.logvar.shape == output.latents.shape == (2, 32)
    assert output.decoded.shape == (2, *model.image_shape)


@pytest.mark.parametrize("image_channels", [1, 3])
@pytest.mark.parametrize(
    ("network", "image_size"),
    [(small_vae, size) for size in (64, 96, 100, 128)]
    + [(resnet18_vae, size) for size in (64, 96, 100, 128, 256)],
)
def test_images_are_decoded_to_their_own_size(network, image_size, image_channels):
    model = network(image_size=image_size, image_channels=image_channels, latents=7)
    _, output, _ = _shapes(model)
    assert output.mean.shape == (2, 7)
    assert output.decoded.shape == (2, image_size, image_size, image_channels)


def test_resnet_decoder_doubles_1024_channels_of_four_pixels():
    params = _shapes(resnet18_vae())[0]["params"]["decoder"]
    assert params["features"]["kernel"].shape == (1024, 1024 * 4 * 4)
    outputs = [params[f"convolution{i}"]["kernel"].shape[-1] for i in range(6, 0, -1)]
    assert outputs == [512, 256, 128, 64, 32, 3]


@pytest.mark.parametrize(
    ("model", "depth"), [(mnist_vae(), 2), (ped1_vae(), 3), (small_vae(), 4)]
)
def test_taps_of_the_convolutional_networks(model, depth):
    perturbations = _shapes(model)[2]["perturbations"]
    numbered = {f"{kind}{i + 1}" for kind in ("conv", "relu") for i in range(depth)}
    assert set(perturbations) == {"encoder"}
    assert set(perturbations["encoder"]) == numbered | {f"relu{depth}_channels"}


def test_taps_of_the_resnet():
    perturbations = _shapes(resnet18_vae())[2]["perturbations"]["encoder"]
    names = flax.traverse_util.flatten_dict(perturbations, sep="/")
    blocks = [f"stage{i}/block{j}" for i in range(1, 5) for j in (1, 2)]
    expected = {f"{b}/{k}{i}" for b in blocks for k in ("conv", "relu") for i in (1, 2)}
    expected |= {"stem/conv", "stem/relu", "stage4/block2/relu2_channels"}
    assert set(names) == expected
    assert names["stage2/block1/conv1"].shape == (2, 64, 64, 128)


@pytest.mark.parametrize("image_size", [32, 257])
def test_resnet_says_which_sizes_fit(image_size):
    with pytest.raises(
        ValueError,
        match="^resnet18_vae: wants an image_size from 64 to 256 pixels, got "
        f"{image_size}; [^\n]*$",
    ):
        resnet18_vae(image_size=image_size)


def test_small_vae_says_how_many_pixels_it_needs():
    with pytest.raises(ValueError, match="at least 16x16 pixels, got a side of 12"):
        init(small_vae(image_size=12), key=KEYS[0])


def test_images_of_another_shape_are_refused_in_one_line(variables):
    with pytest.raises(
        ValueError,
        match=r"^VAE: this network is built for images of shape \(10, 8, 3\), got "
        r"\(8, 8, 3\); ",
    ) as caught:
        _tiny().apply(variables, IMAGES[:, :8], noise=NOISE)
    assert "\n" not in str(caught.value)


def test_init_keeps_only_what_training_keeps(variables):
    assert set(variables) == {"params", "batch_stats"}
    assert set(init(_tiny(norm="group"), key=KEYS[0])) == {"params"}


def test_init_is_the_same_under_jit_and_another_for_another_key(variables):
    jitted = jax.jit(functools.partial(init, _tiny()))
    same, other = jitted(key=KEYS[2]), jitted(key=KEYS[1])
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-6), variables, same
    )
    ours, theirs = (
        v["params"]["encoder"]["convolution1"]["kernel"] for v in (same, other)
    )
    assert not np.allclose(ours, theirs)


def test_latents_are_mean_plus_deviation_times_noise(variables):
    model = _tiny()
    first = model.apply(variables, IMAGES, noise=NOISE)
    deviation = np.exp(np.asarray(first.logvar) / 2)
    np.testing.assert_allclose(
        first.latents, first.mean + deviation * NOISE, rtol=1e-6, atol=1e-7
    )
    again = model.apply(variables, IMAGES, noise=NOISE)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    without = model.apply(variables, IMAGES, noise=jnp.zeros_like(NOISE))
    np.testing.assert_array_equal(without.latents, without.mean)


def test_call_is_encode_then_decode(variables):
    model = _tiny()
    output = model.apply(variables, IMAGES, noise=NOISE)
    posterior = model.apply(variables, IMAGES, method="encode")
    decoded = model.apply(variables, output.latents, method="decode")
    np.testing.assert_array_equal(posterior.mean, output.mean)
    np.testing.assert_array_equal(posterior.logvar, output.logvar)
    np.testing.assert_array_equal(decoded, output.decoded)


def test_batch_statistics_move_only_in_training(variables):
    model = _tiny()
    apply = functools.partial(model.apply, variables, IMAGES, noise=NOISE)
    before = variables["batch_stats"]
    _, resting = apply(mutable=["batch_stats"])
    jax.tree.map(np.testing.assert_array_equal, resting["batch_stats"], before)
    _, moved = apply(train=True, mutable=["batch_stats"])
    for old, new in zip(
        *map(jax.tree.leaves, (before, moved["batch_stats"])), strict=True
    ):
        assert not np.allclose(old, new)
    with pytest.raises(flax.errors.ModifyScopeVariableError):
        apply(train=True)


def test_group_norm_is_the_same_in_training():
    model = _tiny(norm="group")
    apply = functools.partial(
        model.apply, init(model, key=KEYS[2]), IMAGES, noise=NOISE
    )
    jax.tree.map(np.testing.assert_array_equal, apply(train=True), apply(train=False))


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 3), (32, 32, 1), (1, 1, 1)])
def test_a_pixel_bias_of_another_shape_is_refused(shape):
    model = small_vae(image_size=64, width=4)
    with pytest.raises(ValueError, match=r"init: .* shape \(64, 64, 1\), got"):
        inspect.unwrap(init)(model, key=KEYS[2], pixel_bias=jnp.zeros(shape))


@pytest.mark.parametrize("norm", [None, "batch", "group"])
def test_bfloat16_computes_close_and_returns_float32(norm):
    half, full = _tiny(norm, jnp.bfloat16), _tiny(norm)
    variables = init(half, key=KEYS[2])
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    output, reference = (m.apply(variables, IMAGES, noise=NOISE) for m in (half, full))
    assert {x.dtype for x in output} == {jnp.dtype(jnp.float32)}
    for ours, theirs in zip(output, reference, strict=True):
        scale = np.abs(theirs).max()
        assert 0 < np.abs(ours - theirs).max() < 0.03 * scale


def test_mnist_network_agrees_with_torch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    model = mnist_vae()
    random = np.random.default_rng(0)

    def weights(shape):
        deviation = 1 / np.sqrt(np.prod(shape[:-1]))
        return (deviation * random.standard_normal(shape)).astype(np.float32)

    images = random.uniform(size=(3, 28, 28, 1)).astype(np.float32)
    noise = random.standard_normal((3, 32)).astype(np.float32)
    variables = jax.tree.map(lambda x: weights(x.shape), _shapes(model)[0])
    params = jax.tree.map(torch.tensor, variables["params"])
    output = model.apply(
        *jax.tree.map(jnp.asarray, (variables, images)), noise=jnp.asarray(noise)
    )

    def dense(x, layer):
        return x @ layer["kernel"] + layer["bias"]

    def conv(x, layer):
        kernel = layer["kernel"].permute(3, 2, 0, 1)
        return functional.conv2d(x, kernel, layer["bias"], stride=2, padding=1)

    def deconv(x, layer):
        kernel = layer["kernel"].permute(2, 3, 0, 1)
        return functional.conv_transpose2d(
            x, kernel, layer["bias"], stride=2, padding=1
        )

    encoder, decoder = params["encoder"], params["decoder"]
    x = torch.tensor(images).permute(0, 3, 1, 2)
    x = conv(x, encoder["convolution1"]).relu()
    x = conv(x, encoder["convolution2"]).relu()
    # Our features are flattened as rows, columns, channels; torch's channels first.
    x = dense(x.permute(0, 2, 3, 1).flatten(1), encoder["hidden"]).relu()
    mean, logvar = (dense(x, encoder["heads"][k]) for k in ("mean", "logvar"))
    latents = mean + (logvar / 2).exp() * torch.tensor(noise)
    x = dense(dense(latents, decoder["hidden"]).relu(), decoder["features"]).relu()
    x = x.reshape(-1, 7, 7, 128).permute(0, 3, 1, 2)
    x = deconv(deconv(x, decoder["convolution2"]).relu(), decoder["convolution1"])
    theirs = (mean, logvar, latents, x.permute(0, 2, 3, 1))

    for ours, expected in zip(output, theirs, strict=True):
        np.testing.assert_allclose(ours, expected.numpy(), atol=1e-5)


class OneLayer(nn.Module):
    """An encoder that forgets to split its last layer."""

    latents: int = 3

    @nn.compact
    def __call__(self, images):
        return nn.Dense(2 * self.latents)(images.reshape(len(images), -1))


class Halves(OneLayer):
    """One that splits it, and knows nothing of `train`."""

    @nn.compact
    def __call__(self, images):
        return jnp.split(super().__call__(images), 2, axis=1)


class Linear(nn.Module):
    """A decoder that knows nothing of `train` either."""

    image_shape: tuple[int, int, int] = (4, 4, 1)

    @nn.compact
    def __call__(self, latents):
        return nn.Dense(16)(latents).reshape(-1, *self.image_shape)


def test_any_encoder_and_decoder_make_a_vae():
    model = models.VAE(Halves(), Linear())
    assert (model.latents, model.image_shape) == (3, (4, 4, 1))
    variables = models.init(model, key=jax.random.key(0))
    images, noise = jnp.ones((2, 4, 4, 1)), jnp.zeros((2, 3))
    output = model.apply(variables, images, noise=noise, train=True)
    assert output.decoded.shape == images.shape
    np.testing.assert_array_equal(output.latents, output.mean)


def test_an_encoder_that_does_not_split_its_layer_is_refused_for_any_batch():
    """Also for two images, whose rows would unpack as mean and log-variance."""
    model = models.VAE(OneLayer(), Linear())
    for batch in (1, 2, 3):
        with pytest.raises(ValueError, match="encoder OneLayer must return mean and"):
            model.init(
                jax.random.key(0),
                jnp.ones((batch, 4, 4, 1)),
                noise=jnp.zeros((batch, 3)),
            )


@pytest.mark.parametrize(
    ("parts", "field"),
    [((Linear(), Linear()), "latents"), ((Halves(), Halves()), "image_shape")],
)
def test_a_missing_field_is_named(parts, field):
    with pytest.raises(ValueError, match=f"must have a field {field}, got "):
        models.init(models.VAE(*parts), key=jax.random.key(0))
