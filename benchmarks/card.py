"""What the accelerator can do at most, what was asked of it, and what that took."""

import jax

from benchmarks import timing

# Dense TFLOP/s of the tensor cores by `device_kind`, from NVIDIA's data sheets of the
# cards ("with sparsity" halved). JAX multiplies float32 as TF32 there unless told
# otherwise. Whole names: another form of a card, or a slice of it, has another peak.
_A100 = {"float32": 156.0, "bfloat16": 312.0}
_HOPPER_SXM = {"float32": 494.7, "bfloat16": 989.4}
PEAK_TFLOPS = {
    "NVIDIA A100-SXM4-40GB": _A100,
    "NVIDIA A100-SXM4-80GB": _A100,
    "NVIDIA A100-PCIE-40GB": _A100,
    "NVIDIA A100 80GB PCIe": _A100,
    "NVIDIA H100 80GB HBM3": _HOPPER_SXM,
    "NVIDIA H100 PCIe": {"float32": 378.0, "bfloat16": 756.0},
    "NVIDIA H200": _HOPPER_SXM,
    "NVIDIA L4": {"float32": 60.0, "bfloat16": 121.0},
    "NVIDIA L40S": {"float32": 183.0, "bfloat16": 362.0},
}


def peak_tflops(kind: str, dtype: str) -> float | None:
    """The published peak of a `device_kind`, None where it is not in the table."""
    return PEAK_TFLOPS.get(kind, {}).get(dtype)


def flops(lowered: jax.stages.Lowered, program: jax.stages.Compiled) -> float | None:
    """Operations of one call by XLA's count; None where it does not count.

    The larger of two counts: that of the compiled program leaves out on GPUs what is
    handed to cuBLAS and cuDNN, and that of the program as it was written what the
    compiler adds. Of a loop each counts one round.
    """
    counts = [(stage.cost_analysis() or {}) for stage in (lowered, program)]
    return max((count["flops"] for count in counts if "flops" in count), default=None)


def achieved(
    operations: float | None, seconds: list[float], dtype: str
) -> dict[str, object] | None:
    """Spread of the TFLOP/s, beside the peak and the median's share of it if known."""
    if operations is None:
        return None
    tflops = timing.rate(seconds, operations / 1e12)
    peak = peak_tflops(jax.devices()[0].device_kind, dtype)
    share = None if peak is None else tflops["median"] / peak
    return {"flops": operations, "tflops": tflops, "peak": peak, "of_peak": share}


def program_bytes(program: jax.stages.Compiled) -> int | None:
    """Memory that the program takes: arguments, results and what is in between."""
    sizes = program.memory_analysis()
    if sizes is None:
        return None
    return (
        sizes.argument_size_in_bytes
        + sizes.output_size_in_bytes
        + sizes.temp_size_in_bytes
        - sizes.alias_size_in_bytes
    )


def peak_bytes() -> int | None:
    """The most device memory that this process has used; None where it is not told."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
