"""Images from disk to maps, masks and overlays on disk, with PyTorch in between.

What `experiments.inspection` does, as one would write it in PyTorch: worker processes
decode and resize, the main process maps, threads draw. Decoder and pictures are the
same functions, so that what differs is PyTorch's loader, network and gradient.
"""

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.torch_networks import TorchVAE
from vae_jax.data import folder, images
from vae_jax.inspection import marking

NOISE_SCALE = 0.1


class Folder(Dataset):
    """Name, pixels at their own size, and pixels at the model's."""

    def __init__(self, root: Path, names: Sequence[str], *, size: int, channels: int):
        self.root, self.names = root, names
        self.size, self.channels = size, channels

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[str, Tensor, Tensor]:
        name = self.names[index]
        pixels = folder.read_image(self.root / name, channels=self.channels)
        view = images.resize(pixels, self.size, name=name)
        # Tensors pass between processes in shared memory, arrays do not.
        return name, torch.from_numpy(pixels.copy()), torch.from_numpy(view.copy())


def loader(dataset: Folder, *, batch_size: int, workers: int) -> DataLoader:
    """Batches as lists; its workers are started once."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=list,
        persistent_workers=True,
        multiprocessing_context="spawn",  # JAX has threads, which a fork would break
    )


class Maps:
    """Residual times gradient of the reconstruction error at the input, smoothed."""

    def __init__(self, network: TorchVAE, *, blur: float, device: str):
        self._network = network.eval().requires_grad_(False).to(device)
        radius = int(4 * blur + 0.5)
        offsets = torch.arange(-radius, radius + 1.0)
        kernel = torch.exp(-0.5 * (offsets / blur) ** 2)
        self._kernel = (kernel / kernel.sum()).to(device)
        self._radius, self._device = radius, device

    def __call__(self, views: Sequence[Tensor]) -> np.ndarray:
        """Maps [batch, size, size] of 8-bit images [size, size, channel]."""
        batch = torch.stack(list(views)).to(self._device).permute(0, 3, 1, 2) / 255
        batch.requires_grad_(True)
        mean = self._network.mean(self._network.encoder(batch))
        residual = batch - self._network.decoder(mean)
        error = 0.5 * (residual / NOISE_SCALE).square().sum()
        (gradient,) = torch.autograd.grad(error, batch)
        maps = (residual.detach() * gradient).abs().mean(1, keepdim=True)
        return self._smooth(maps)[:, 0].cpu().numpy()

    def _smooth(self, maps: Tensor) -> Tensor:
        pad = nn.functional.pad
        maps = pad(maps, (self._radius,) * 4, mode="reflect")
        maps = nn.functional.conv2d(maps, self._kernel[None, None, None, :])
        return nn.functional.conv2d(maps, self._kernel[None, None, :, None])


def predict(
    batches: DataLoader, maps: Maps, marks: marking.Marks, *, threshold: float
) -> int:
    """Writes the pictures of every image; returns how many there were."""
    count, writing = 0, []
    draw = functools.partial(marking.draw, threshold=threshold)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for batch in batches:
            names, pixels, views = zip(*batch, strict=True)
            found = maps(views)
            for future in writing:
                future.result()
            writing = [
                pool.submit(draw, marks, name, native.numpy(), values)
                for name, native, values in zip(names, pixels, found, strict=True)
            ]
            count += len(names)
        for future in writing:
            future.result()
    return count
