"""The autoencoder of `vae_jax.baselines` in PyTorch, with the same weights."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vae_jax.baselines.autoencoder import Layer
from vae_jax.baselines.overlap import patch_starts


def autoencoder(
    layers: Sequence[Layer], params: Mapping[str, Mapping[str, Any]]
) -> nn.Sequential:
    """From images [batch, channel, row, column] of even sizes to reconstructions."""
    modules: list[nn.Module] = []
    for i, layer in enumerate(layers, 1):
        stride, padding = layer.stride, 1
        modules += [_conv(params[f"encode{i}"], stride, padding), nn.LeakyReLU(0.2)]
    modules.append(_conv(params["to_latents"], 1, 0))
    modules.append(_conv_transpose(params["from_latents"], 1, 0))
    for i in range(len(layers), 0, -1):
        transposed = _conv_transpose(params[f"decode{i}"], layers[i - 1].stride, 1)
        modules += [nn.LeakyReLU(0.2), transposed]
    return nn.Sequential(*modules)


def _conv(params: Mapping[str, Any], stride: int, padding: int) -> nn.Conv2d:
    rows, columns, channels, out = params["kernel"].shape
    module = nn.Conv2d(channels, out, (rows, columns), stride, padding)
    return _with_weights(module, params, (3, 2, 0, 1))


def _conv_transpose(
    params: Mapping[str, Any], stride: int, padding: int
) -> nn.ConvTranspose2d:
    rows, columns, channels, out = params["kernel"].shape
    module = nn.ConvTranspose2d(channels, out, (rows, columns), stride, padding)
    return _with_weights(module, params, (2, 3, 0, 1))


def _with_weights(module, params: Mapping[str, Any], order: tuple[int, ...]):
    kernel = np.array(params["kernel"]).transpose(order)
    module.weight = nn.Parameter(torch.tensor(kernel))
    module.bias = nn.Parameter(torch.tensor(np.array(params["bias"])))
    return module


def error_map(network: nn.Module, images: Tensor, *, loss: str) -> Tensor:
    """As `vae_jax.baselines.autoencoder.error_map`; grey images for "ssim"."""
    reconstructions = network(images)
    if loss == "l2":
        return (images - reconstructions).square().sum(1)
    return 1 - ssim_map(images, reconstructions)


def ssim_map(x: Tensor, y: Tensor, *, c1: float = 0.01, c2: float = 0.03) -> Tensor:
    """SSIM with a Gaussian window, by two one-dimensional convolutions."""
    taps = torch.tensor([math.exp(-0.5 * (i / 1.5) ** 2) for i in range(-5, 6)])
    taps = (taps / taps.sum()).to(x.device)

    def mean(images: Tensor) -> Tensor:
        rows, columns = images.shape[-2:]
        images = images[:, :, _reflected(rows)][:, :, :, _reflected(columns)]
        images = nn.functional.conv2d(images, taps.view(1, 1, 11, 1))
        return nn.functional.conv2d(images, taps.view(1, 1, 1, 11))

    mean_x, mean_y = mean(x), mean(y)
    squares = mean_x.square() + mean_y.square()
    variances = mean(x.square() + y.square()) - squares
    product = mean_x * mean_y
    covariance = mean(x * y) - product
    similarity = (2 * product + c1) / (squares + c1)
    return (similarity * (2 * covariance + c2) / (variances + c2))[:, 0]


def _reflected(size: int) -> list[int]:
    """Indices of an axis with 5 reflected ones on each side (c b a | a b c | c b a)."""
    return np.pad(np.arange(size), 5, mode="symmetric").tolist()


@torch.no_grad()
def texture_maps(
    network: nn.Module,
    images: Tensor,
    *,
    loss: str,
    side: int,
    stride: int,
    batch_size: int,
) -> Tensor:
    """As `vae_jax.baselines.overlap.map_patches` of `error_map`, image by image."""
    size = images.shape[-1]
    starts = patch_starts(size, side=side, stride=stride)
    places = [
        (slice(top, top + side), slice(left, left + side))
        for top in starts
        for left in starts
    ]
    total = torch.zeros(len(images), size, size, device=images.device)
    times = torch.zeros(size, size, device=images.device)
    for place in places:
        times[place] += 1
    for image, its_total in zip(images, total, strict=True):
        for first in range(0, len(places), batch_size):
            some = places[first : first + batch_size]
            patches = torch.stack([image[:, rows, columns] for rows, columns in some])
            errors = error_map(network, patches, loss=loss)
            for place, error in zip(some, errors, strict=True):
                its_total[place] += error
    return total / times
