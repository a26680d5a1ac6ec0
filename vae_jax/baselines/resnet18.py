"""ResNet-18 (He et al. 2016) as a fixed map from images to features, for inference.

Weights have the names and shapes of PyTorch's torchvision, and come from a file of the
user's: `.safetensors`, or `.npz` with one array for each name. From a `.pth`:

    import torch
    from safetensors.torch import save_file
    save_file(torch.load("resnet18-f37072fd.pth"), "resnet18.safetensors")
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from vae_jax.models.convolution import conv

FEATURES = 512
NORM_EPSILON = 1e-5
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of the pixels of ImageNet, by which torchvision's networks want images scaled."""
SMALL_SIDE = 2
"""Up to this side, activations meet a kernel as the matrix that it amounts to."""

_STAGES = (64, 128, 256, 512)

Weights = dict[str, Float[np.ndarray, "..."]]


class Convolution(NamedTuple):
    """A convolution with the batch norm that follows it."""

    kernel: Float[Array, "height width channel out"] | Float[Array, "inputs outputs"]
    """As a matrix where the activations before it are small."""
    bias: Float[Array, " out"]


class Block(NamedTuple):
    """Two 3x3 convolutions beside a shortcut; a convolution there has stride 2."""

    first: Convolution
    second: Convolution
    shortcut: Convolution | None


class ResNet18(NamedTuple):
    """The network for images of one size, all but its classifier."""

    stem: Convolution
    blocks: tuple[Block, ...]


def load_weights(path: Path) -> Weights:
    """All arrays that the features need, of the published shapes, as float32.

    Raises:
        ValueError: the file is of another kind, or an array is missing or misshapen.
        ImportError: safetensors is needed and not installed.
    """
    read = {".npz": _read_npz, ".safetensors": _read_safetensors}.get(path.suffix)
    if read is None:
        raise ValueError(
            f"load_weights: {path} must end in .safetensors or .npz; the docstring of "
            "vae_jax.baselines.resnet18 converts a .pth in three lines."
        )
    stored = read(path)
    weights = {}
    for name, shape in weight_shapes().items():
        found = stored[name].shape if name in stored else "none"
        if found != shape:
            raise ValueError(
                f"load_weights: {path} must hold {name} of shape {shape}, got {found}; "
                "give the state dict of torchvision's resnet18."
            )
        weights[name] = np.asarray(stored[name], np.float32)
    return weights


def random_weights(*, seed: int) -> Weights:
    """Untrained ones: kernels as He et al. 2015 draw them, norms that do nothing."""
    random = np.random.default_rng(seed)
    weights = {}
    for name, shape in weight_shapes().items():
        if len(shape) == 4:
            out, _, height, width = shape
            scale = (2 / (out * height * width)) ** 0.5
            weights[name] = random.normal(0, scale, shape).astype(np.float32)
        else:
            is_one = name.endswith(("weight", "var"))
            weights[name] = np.full(shape, float(is_one), np.float32)
    return weights


def weight_shapes() -> dict[str, tuple[int, ...]]:
    """The shape of each array by its name, convolutions as [out, in, height, width]."""
    shapes: dict[str, tuple[int, ...]] = {}

    def add(convolution: str, norm: str, out: int, channels: int, size: int) -> None:
        shapes[f"{convolution}.weight"] = (out, channels, size, size)
        for name in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{name}"] = (out,)

    add("conv1", "bn1", _STAGES[0], 3, 7)
    for name, channels, out in _blocks():
        add(f"{name}.conv1", f"{name}.bn1", out, channels, 3)
        add(f"{name}.conv2", f"{name}.bn2", out, out, 3)
        if channels != out:
            add(f"{name}.downsample.0", f"{name}.downsample.1", out, channels, 1)
    return shapes


def build(weights: Weights, *, image_size: int) -> ResNet18:
    """The network for square images of `image_size` pixels."""
    stem = _folded(weights, "conv1", "bn1", side=image_size, stride=2)
    side = _halved(_halved(image_size))
    blocks = []
    for name, channels, out in _blocks():
        shortcut, stride, before = None, 1, side
        if channels != out:
            stride, side = 2, _halved(side)
            parts = f"{name}.downsample.0", f"{name}.downsample.1"
            shortcut = _folded(weights, *parts, side=before, stride=stride)
        parts = f"{name}.conv1", f"{name}.bn1"
        first = _folded(weights, *parts, side=before, stride=stride)
        parts = f"{name}.conv2", f"{name}.bn2"
        second = _folded(weights, *parts, side=side, stride=1)
        blocks.append(Block(first, second, shortcut))
    return ResNet18(stem, tuple(blocks))


def features(
    network: ResNet18, images: Float[Array, "batch size size channel"]
) -> Float[Array, "batch features"]:
    """The 512 averages over the last activations; gray images are tripled.

    Images are in [0, 1], of the size that the network was built for.
    """
    return activations(network, images, stages=len(_STAGES))[-1].mean((1, 2))


def activations(
    network: ResNet18, images: Float[Array, "batch size size channel"], *, stages: int
) -> tuple[Float[Array, "batch rows columns channels"], ...]:
    """Those of the stem and after each of the first `stages` of four, rectified.

    Images as in `features`; nothing of later stages is computed.
    """
    x = jnp.broadcast_to(images, (*images.shape[:3], 3))
    x = (x - jnp.asarray(MEAN)[None, None, None]) / jnp.asarray(DEVIATION)[
        None, None, None
    ]
    x = jax.nn.relu(_convolve(network.stem, x, stride=2))
    found = [x]
    # From -infinity, as 0 would do after a rectifier but has no derivative in JAX.
    edges = ((0, 0), (1, 1), (1, 1), (0, 0))
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), edges)
    for stage in range(stages):
        for block in network.blocks[2 * stage : 2 * stage + 2]:
            x = _residual(block, x)
        found.append(x)
    return tuple(found)


def _residual(block: Block, x: Array) -> Array:
    stride = 1 if block.shortcut is None else 2
    branch = jax.nn.relu(_convolve(block.first, x, stride=stride))
    branch = _convolve(block.second, branch, stride=1)
    if block.shortcut is not None:
        x = _convolve(block.shortcut, x, stride=stride)
    return jax.nn.relu(x + branch)


def _blocks() -> Iterator[tuple[str, int, int]]:
    """Name and channels before and after each block."""
    channels = _STAGES[0]
    for i, out in enumerate(_STAGES, 1):
        yield f"layer{i}.0", channels, out
        yield f"layer{i}.1", out, out
        channels = out


def _halved(side: int) -> int:
    return (side + 1) // 2


def _folded(
    weights: Weights, convolution: str, norm: str, *, side: int, stride: int
) -> Convolution:
    """Batch norm in inference is affine in each channel: a part of the kernel."""
    scale, bias, mean, variance = (
        weights[f"{norm}.{name}"].astype(np.float64)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = scale / np.sqrt(variance + NORM_EPSILON)
    kernel = weights[f"{convolution}.weight"].transpose(2, 3, 1, 0) * scale
    if side <= SMALL_SIDE:
        kernel = _as_matrix(kernel, side=side, stride=stride)
    bias = bias - mean * scale
    return Convolution(jnp.asarray(kernel, jnp.float32), jnp.asarray(bias, jnp.float32))


def _as_matrix(
    kernel: Float[np.ndarray, "size size channel out"], *, side: int, stride: int
) -> Float[np.ndarray, "inputs outputs"]:
    """What a padded kernel does to images of `side` pixels.

    For images that are smaller than the kernel, most of which lies on the padding.
    XLA's CPU convolutions take 40 to 200 times longer for them.
    """
    size, _, channels, out = kernel.shape
    ends = (side - 1) // stride + 1
    matrix = np.zeros((side, side, channels, ends, ends, out))
    for y, x, i, j in np.ndindex(side, side, ends, ends):
        row, column = (n - m * stride + size // 2 for n, m in ((y, i), (x, j)))
        if 0 <= row < size and 0 <= column < size:
            matrix[y, x, :, i, j] = kernel[row, column]
    return matrix.reshape(side * side * channels, ends * ends * out)


def _convolve(convolution: Convolution, x: Array, *, stride: int) -> Array:
    kernel, bias = convolution
    if kernel.ndim == 2:
        ends = (x.shape[1] - 1) // stride + 1
        x = (x.reshape(len(x), -1) @ kernel).reshape(len(x), ends, ends, -1)
    else:
        x = conv(x, kernel, stride=stride, padding=kernel.shape[0] // 2)
    return x + bias[None, None, None]


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (zipfile.BadZipFile, ValueError) as error:
        raise ValueError(f"load_weights: {path} is no .npz file ({error}).") from error


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            f"load_weights: to read {path}, install safetensors, or give an .npz."
        ) from error
    try:
        return safetensors.numpy.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"load_weights: {path} is no .safetensors file ({error})."
        ) from error
