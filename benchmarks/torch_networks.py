"""The networks of `vae_jax.models`, built in PyTorch to be timed beside them."""

import torch
from torch import Tensor, nn


class TorchVAE(nn.Module):
    """Encoder, two heads, one sample, decoder; images [batch, channel, row, column]."""

    def __init__(
        self,
        encoder: nn.Sequential,
        decoder: nn.Sequential,
        *,
        hidden: int,
        latents: int,
    ):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.mean = nn.Linear(hidden, latents)
        self.logvar = nn.Linear(hidden, latents)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, log-variance and what is decoded from one sample."""
        mean, logvar, latents = self.sample(images)
        return mean, logvar, self.decoder(latents)

    def sample(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, log-variance and one sample."""
        hidden = self.encoder(images)
        mean, logvar = self.mean(hidden), self.logvar(hidden)
        return mean, logvar, mean + torch.exp(logvar / 2) * torch.randn_like(mean)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm beside a shortcut."""

    def __init__(self, channels: int, out: int, stride: int):
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut = nn.Identity()
        if stride > 1:
            shortcut = nn.Conv2d(channels, out, 1, stride, bias=False)
            self.shortcut = nn.Sequential(shortcut, nn.BatchNorm2d(out))

    def forward(self, inputs: Tensor) -> Tensor:
        """The block, [batch, out, height / stride, width / stride]."""
        return torch.relu(self.residual(inputs) + self.shortcut(inputs))


def mnist_vae() -> TorchVAE:
    """The authors' MNIST network with 32 latents."""
    encoder = nn.Sequential(
        nn.Conv2d(1, 64, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(64, 128, 4, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(7 * 7 * 128, 1024),
        nn.ReLU(),
    )
    decoder = nn.Sequential(
        nn.Linear(32, 1024),
        nn.ReLU(),
        nn.Linear(1024, 7 * 7 * 128),
        nn.ReLU(),
        nn.Unflatten(1, (128, 7, 7)),
        nn.ConvTranspose2d(128, 64, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 1, 4, 2, 1),
    )
    return TorchVAE(encoder, decoder, hidden=1024, latents=32)


def locatello_vae() -> TorchVAE:
    """The network of Locatello et al. 2019 for one channel, with 10 latents."""
    encoder: list[nn.Module] = []
    for before, out, kernel in ((1, 32, 4), (32, 32, 4), (32, 64, 2), (64, 64, 2)):
        encoder += [nn.Conv2d(before, out, kernel, 2, kernel // 2 - 1), nn.ReLU()]
    encoder += [nn.Flatten(), nn.Linear(1024, 256), nn.ReLU()]
    decoder: list[nn.Module] = [
        nn.Linear(10, 256),
        nn.ReLU(),
        nn.Linear(256, 1024),
        nn.Unflatten(1, (64, 4, 4)),
    ]
    for before, out in ((64, 64), (64, 32), (32, 32), (32, 1)):
        decoder += [nn.ReLU(), nn.ConvTranspose2d(before, out, 4, 2, 1)]
    return TorchVAE(
        nn.Sequential(*encoder), nn.Sequential(*decoder), hidden=256, latents=10
    )


def discriminator(*, layers: int = 6, width: int) -> nn.Sequential:
    """Dense layers of leaky rectifiers, from 10 latents to two logits."""
    modules: list[nn.Module] = []
    for inputs in [10, *(layers - 1) * [width]]:
        modules += [nn.Linear(inputs, width), nn.LeakyReLU(0.2)]
    return nn.Sequential(*modules, nn.Linear(width, 2))


def resnet18_vae(image_size: int) -> TorchVAE:
    """ResNet-18 from scratch and its decoder, for 64, 128 or 256 pixels."""
    encoder: list[nn.Module] = [
        nn.Conv2d(3, 64, 3, 2, 1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
    ]
    channels = 64
    for out in (64, 128, 256, 512):
        encoder.append(BasicBlock(channels, out, stride=1 if out == 64 else 2))
        encoder.append(BasicBlock(out, out, stride=1))
        channels = out
    encoder += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]

    doublings = image_size.bit_length() - 3
    widths = [1024 >> i for i in range(doublings)]
    decoder: list[nn.Module] = [
        nn.Linear(32, 1024),
        nn.ReLU(),
        nn.Linear(1024, widths[0] * 16),
        nn.ReLU(),
        nn.Unflatten(1, (widths[0], 4, 4)),
    ]
    for width in widths[:-1]:
        transposed = nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False)
        decoder += [transposed, nn.BatchNorm2d(width // 2), nn.ReLU()]
    decoder.append(nn.ConvTranspose2d(widths[-1], 3, 4, 2, 1))
    return TorchVAE(
        nn.Sequential(*encoder), nn.Sequential(*decoder), hidden=512, latents=32
    )


def small_vae(*, image_size: int, channels: int, width: int = 32) -> TorchVAE:
    """Four halvings with batch norm, 64 latents, and a pixel bias."""
    widths = [width, 2 * width, 4 * width, 8 * width]
    encoder: list[nn.Module] = []
    for before, after in zip([channels, *widths], widths, strict=False):
        convolution = nn.Conv2d(before, after, 4, 2, 1, bias=False)
        encoder += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
    side = image_size // 16
    features = widths[-1] * side**2
    encoder += [nn.Flatten(), nn.Linear(features, 512), nn.ReLU()]
    decoder: list[nn.Module] = [
        nn.Linear(64, 512),
        nn.ReLU(),
        nn.Linear(512, features),
        nn.ReLU(),
        nn.Unflatten(1, (widths[-1], side, side)),
    ]
    for before, after in zip(widths[:0:-1], widths[-2::-1], strict=True):
        transposed = nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)
        decoder += [transposed, nn.BatchNorm2d(after), nn.ReLU()]
    decoder.append(nn.ConvTranspose2d(width, channels, 4, 2, 1))
    decoder.append(PixelBias((channels, image_size, image_size)))
    return TorchVAE(
        nn.Sequential(*encoder), nn.Sequential(*decoder), hidden=512, latents=64
    )


class PixelBias(nn.Module):
    """Adds a learned image."""

    def __init__(self, shape: tuple[int, int, int]):
        super().__init__()
        self.image = nn.Parameter(torch.zeros(shape))

    def forward(self, inputs: Tensor) -> Tensor:
        """The sum, of the shape of the inputs."""
        return inputs + self.image
