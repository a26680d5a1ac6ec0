"""The GAN of `vae_jax.baselines.dcgan` in PyTorch, with our weights, and its search."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class TorchDCGAN(nn.Module):
    """Generator and discriminator for inference; images [batch, channel, row, column].

    Built from `variables` of "generator" and "discriminator".
    """

    def __init__(self, variables: Mapping[str, Any]):
        super().__init__()
        generator, discriminator = (
            _tensors(variables[name]) for name in ("generator", "discriminator")
        )
        count = sum(name.startswith("convolution") for name in generator)
        layers = [_dense(generator), *_after(generator, 0, nn.ReLU())]
        for i in range(1, count + 1):
            layers.append(_transposed(generator[f"convolution{i}"]))
            layers += _after(generator, i, nn.ReLU())
        layers += [_transposed(generator["image"]), nn.Tanh()]
        self.generator = nn.Sequential(*layers)

        layers = []
        for i in range(count + 1):
            layers.append(_convolution(discriminator[f"convolution{i}"]))
            layers += _after(discriminator, i, nn.LeakyReLU(0.2))
        self.features = nn.Sequential(*layers)
        self.eval().requires_grad_(False)

    def find_latents(
        self,
        images: Tensor,
        *,
        start: Tensor,
        steps: int,
        learning_rate: float,
        feature_weight: float,
    ) -> Tensor:
        """As `vae_jax.baselines.anogan.find_latents`, for images in [0, 1]."""
        images = 2 * images - 1
        features = self.features(images)
        latents = start.repeat(len(images), 1).requires_grad_()
        optimizer = torch.optim.Adam([latents], learning_rate)
        for _ in range(steps):
            optimizer.zero_grad()
            drawn = self.generator(latents)
            residual = (images - drawn).abs().sum()
            discrimination = (features - self.features(drawn)).abs().sum()
            loss = (1 - feature_weight) * residual + feature_weight * discrimination
            loss.backward()
            optimizer.step()
        return latents.detach()


def _tensors(variables: Mapping[str, Any]) -> dict[str, dict[str, Tensor]]:
    """Parameters and statistics by layer."""
    layers: dict[str, dict[str, Tensor]] = {}
    for collection in variables.values():
        for layer, arrays in collection.items():
            for name, values in arrays.items():
                tensor = torch.from_numpy(np.array(values))
                layers.setdefault(layer, {})[name] = tensor
    return layers


def _dense(layers: dict[str, dict[str, Tensor]]) -> nn.Sequential:
    kernel, bias = layers["features"]["kernel"], layers["features"]["bias"]
    channels = len(bias) // 16
    linear = nn.Linear(len(kernel), len(bias))
    # Pixels before channels there, after them here.
    by_channel = kernel.reshape(-1, 4, 4, channels).permute(3, 1, 2, 0)
    linear.weight.data = by_channel.reshape(len(bias), -1).contiguous()
    linear.bias.data = bias.reshape(4, 4, channels).permute(2, 0, 1).reshape(-1)
    return nn.Sequential(linear, nn.Unflatten(1, (channels, 4, 4)))


def _transposed(layer: dict[str, Tensor]) -> nn.Module:
    kernel, has_bias = layer["kernel"], "bias" in layer
    channels, out = kernel.shape[2:]
    module = nn.ConvTranspose2d(channels, out, 4, 2, 1, bias=has_bias)
    module.weight.data = kernel.permute(2, 3, 0, 1).contiguous()
    if module.bias is not None:
        module.bias.data = layer["bias"]
    return module


def _convolution(layer: dict[str, Tensor]) -> nn.Module:
    kernel, has_bias = layer["kernel"], "bias" in layer
    channels, out = kernel.shape[2:]
    module = nn.Conv2d(channels, out, 4, 2, 1, bias=has_bias)
    module.weight.data = kernel.permute(3, 2, 0, 1).contiguous()
    if module.bias is not None:
        module.bias.data = layer["bias"]
    return module


def _after(
    layers: dict[str, dict[str, Tensor]], i: int, activation: nn.Module
) -> list[nn.Module]:
    """The batch norm of layer i, where it has one, and what is not linear."""
    layer = layers.get(f"norm{i}")
    if layer is None:
        return [activation]
    norm = nn.BatchNorm2d(len(layer["mean"]))
    norm.weight.data, norm.bias.data = layer["scale"], layer["bias"]
    norm.running_mean, norm.running_var = layer["mean"], layer["var"]
    return [norm, activation]
