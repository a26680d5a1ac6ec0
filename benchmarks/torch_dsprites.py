"""Steps of a VAE and of a FactorVAE in PyTorch, batches drawn where they compute."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import torch_device, torch_networks

GAMMA = 10.0


def steps(
    images: np.ndarray,
    *,
    batch_size: int,
    discriminator_width: int,
    device: str,
    learning_rate: float,
) -> dict[str, Callable[[], None]]:
    """A function for each of "vae" and "factor_vae" that makes one update.

    `images` is [image height width], of zeros and ones.
    """
    pixels = torch.tensor(images, dtype=torch.uint8).to(device)

    def draw() -> Tensor:
        index = torch.randint(len(pixels), (batch_size,), device=device)
        return pixels[index][:, None].float()

    def new_vae() -> tuple[torch_networks.TorchVAE, torch.optim.Optimizer]:
        vae = torch_networks.locatello_vae().to(device)
        return vae, torch.optim.Adam(vae.parameters(), learning_rate)

    plain, plain_optimizer = new_vae()
    vae, vae_optimizer = new_vae()
    discriminator = torch_networks.discriminator(width=discriminator_width).to(device)
    other_optimizer = torch.optim.Adam(
        discriminator.parameters(), learning_rate, betas=(0.5, 0.9)
    )

    def vae_step() -> None:
        plain_optimizer.zero_grad()
        loss, _ = negative_elbo(plain, draw())
        loss.backward()
        plain_optimizer.step()
        torch_device.wait(device)

    def factor_vae_step() -> None:
        vae_optimizer.zero_grad()
        loss, latents = negative_elbo(vae, draw())
        discriminator.requires_grad_(False)
        logits = discriminator(latents)
        (loss + GAMMA * (logits[:, 0] - logits[:, 1]).mean()).backward()
        discriminator.requires_grad_(True)
        other_optimizer.zero_grad()
        discriminator_loss(discriminator, latents.detach()).backward()
        vae_optimizer.step()
        other_optimizer.step()
        torch_device.wait(device)

    return {"vae": vae_step, "factor_vae": factor_vae_step}


def negative_elbo(
    vae: torch_networks.TorchVAE, images: Tensor
) -> tuple[Tensor, Tensor]:
    """Its mean over the batch, and the latents."""
    mean, logvar, latents = vae.sample(images)
    distortion = nn.functional.binary_cross_entropy_with_logits(
        vae.decoder(latents), images, reduction="sum"
    )
    rate = 0.5 * (mean.square() + torch.expm1(logvar) - logvar).sum()
    return (distortion + rate) / len(images), latents


def discriminator_loss(discriminator: nn.Module, latents: Tensor) -> Tensor:
    """The cross-entropy of telling latents from permuted ones, mean of both kinds."""
    order = torch.rand_like(latents).argsort(0)
    permuted = torch.gather(latents, 0, order)
    labels = torch.arange(2, device=latents.device).repeat_interleave(len(latents))
    both = torch.cat([latents, permuted])
    return nn.functional.cross_entropy(discriminator(both), labels)
