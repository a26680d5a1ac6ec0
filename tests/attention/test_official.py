"""The authors' procedure, by independent implementations on the same weights."""

import warnings

import jax
import numpy as np
import pytest

from vae_jax.attention import OFFICIAL, attention_maps, sum_of_latents
from vae_jax.models import VAE, init, mnist_vae
from vae_jax.models.conv import ConvDecoder, ConvEncoder


def official_maps(model, variables, images):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "attention_maps: grad_norm='rms_batch'")
        return jax.jit(
            lambda v, x: attention_maps(
                model, v, x, tap="conv2", score=sum_of_latents, rule=OFFICIAL
            )
        )(variables, images)


def patches(padded, rows, columns):
    """The 4x4 window of each output of a stride-2 convolution, flattened."""
    windows = np.lib.stride_tricks.sliding_window_view(padded, (4, 4), axis=(1, 2))
    return np.moveaxis(windows[:, ::2, ::2], 3, -1).reshape(
        len(padded), rows, columns, -1
    )


def convolve(x, kernel, bias):
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = patches(padded, x.shape[1] // 2, x.shape[2] // 2)
    return windows @ kernel.reshape(-1, kernel.shape[-1]) + bias


def quadrupled(size):
    """Bilinear interpolation with half-pixel centres to four times the size."""
    places = np.clip((np.arange(4 * size) + 0.5) / 4 - 0.5, 0, size - 1)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(size)[None]))


def test_agrees_with_numpy_and_a_backward_pass_by_hand():
    encoder = ConvEncoder((3, 5), hidden=7, latents=4)
    model = VAE(encoder, ConvDecoder((3, 5), hidden=7, image_shape=(8, 8, 2)))
    variables = init(model, key=jax.random.key(0))
    images = jax.random.uniform(jax.random.key(1), (3, 8, 8, 2))
    w = jax.tree.map(lambda x: np.array(x, "f8"), variables["params"]["encoder"])

    relu1 = np.maximum(convolve(np.array(images, "f8"), *kernel(w["convolution1"])), 0)
    conv2 = convolve(relu1, *kernel(w["convolution2"]))
    flat = np.maximum(conv2, 0).reshape(3, -1)
    hidden = flat @ w["hidden"]["kernel"] + w["hidden"]["bias"]
    # Backward from 1 at each latent, through the two rectifiers.
    gradient = np.where(hidden > 0, w["heads"]["mean"]["kernel"].sum(1), 0)
    gradient = (gradient @ w["hidden"]["kernel"].T).reshape(conv2.shape)
    gradient = np.where(conv2 > 0, gradient, 0)
    gradient /= np.sqrt(np.mean(gradient**2)) + 1e-5
    sums = np.einsum("bc,bhwc->bhw", gradient.mean((1, 2)), conv2)
    expected = np.abs(quadrupled(2) @ sums @ quadrupled(2).T)

    maps = official_maps(model, variables, images)
    assert expected.max() > 0.01
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-6)


def kernel(layer):
    return layer["kernel"], layer["bias"]


def test_agrees_with_pytorch_on_the_mnist_network():
    torch = pytest.importorskip("torch")
    model = mnist_vae()
    variables = init(model, key=jax.random.key(0))
    images = jax.random.uniform(jax.random.key(1), (6, 28, 28, 1))
    weights = variables["params"]["encoder"]
    network = torch_encoder(torch, weights)

    kept = {}

    def keep(module, inputs, output):
        output.retain_grad()
        kept["activation"] = output

    network[2].register_forward_hook(keep)
    pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
    network(pixels).sum().backward()
    activation, gradient = kept["activation"], kept["activation"].grad
    gradient = gradient / (gradient.pow(2).mean().sqrt() + 1e-5)
    weighted = gradient.mean((2, 3), keepdim=True) * activation
    resized = torch.nn.functional.interpolate(
        weighted.sum(1, keepdim=True), (28, 28), mode="bilinear", align_corners=False
    )
    expected = resized.abs()[:, 0].detach().numpy()

    maps = official_maps(model, variables, images)
    assert expected.max() > 0.1
    np.testing.assert_allclose(maps, expected, atol=1e-5)


def torch_encoder(torch, weights):
    """The authors' encoder up to the means, with our weights in it."""
    nn = torch.nn
    network = nn.Sequential(
        nn.Conv2d(1, 64, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 128, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128 * 7 * 7, 1024),
        nn.ReLU(),
        nn.Linear(1024, 32),
    )
    convolutions = [weights[f"convolution{i}"] for i in (1, 2)]
    # PyTorch flattens channel, row, column; this library row, column, channel.
    hidden = weights["hidden"]["kernel"].reshape(7, 7, 128, 1024)
    mean = weights["heads"]["mean"]
    layers = {
        0: (convolutions[0]["kernel"].transpose(3, 2, 0, 1), convolutions[0]["bias"]),
        2: (convolutions[1]["kernel"].transpose(3, 2, 0, 1), convolutions[1]["bias"]),
        5: (hidden.transpose(3, 2, 0, 1).reshape(1024, -1), weights["hidden"]["bias"]),
        7: (mean["kernel"].T, mean["bias"]),
    }
    with torch.no_grad():
        for index, (weight, bias) in layers.items():
            network[index].weight.copy_(torch.from_numpy(np.array(weight)))
            network[index].bias.copy_(torch.from_numpy(np.array(bias)))
    return network
