"""Where PyTorch computes in the benchmarks: where JAX does, and set up alike."""

import jax
import torch

from benchmarks.timing import usable_cores


def match_jax() -> str:
    """PyTorch's name of the kind of device that JAX computes on, made ready.

    On a processor PyTorch gets as many threads as XLA. On a GPU it may multiply
    float32 as TF32, as JAX does there unless told otherwise; PyTorch's convolutions
    do so by default, its matrix products do not.

    Raises:
        SystemExit: This PyTorch has no such device.
    """
    torch.set_num_threads(usable_cores())
    backend = jax.default_backend()
    if backend == "cpu":
        return "cpu"
    if backend == "gpu" and torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        return "cuda"
    raise SystemExit(
        f"error: JAX computes on a {backend}, but PyTorch {torch.__version__} here has "
        "none to use; install a PyTorch for it, or compare processors with "
        "JAX_PLATFORMS=cpu."
    )


def settings() -> dict[str, str | int]:
    """How PyTorch is run, for the printed result."""
    return {
        "mode": "eager, NCHW",
        "threads": torch.get_num_threads(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }


def wait(device: str) -> None:
    """Returns once the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
