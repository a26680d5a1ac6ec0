"""FLOP/s beside the peak, and memory."""

import jax
import jax.numpy as jnp
import pytest

SPREAD = ["p10", "median", "p90"]


def build(function, *shapes):
    from benchmarks import timing

    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return timing.build(jax.jit(function), *arguments)


def test_a_matrix_product_has_two_operations_for_each_of_its_products():
    from benchmarks import card

    built = build(jnp.matmul, (5, 7), (7, 3))
    assert card.flops(built.lowered, built.program) == 2 * 5 * 7 * 3


def test_a_convolution_has_two_operations_for_each_product_within_the_image():
    from benchmarks import card

    def convolution(images, kernel):
        return jax.lax.conv_general_dilated(
            images,
            kernel,
            (2, 2),
            [(1, 1), (1, 1)],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    # Along an axis 8 places of 4 taps, of which two are beyond the border: 30.
    built = build(convolution, (2, 16, 16, 3), (4, 4, 3, 8))
    assert card.flops(built.lowered, built.program) == 2 * 2 * 30**2 * 3 * 8


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        # As a GPU's program, whose products are calls of a library that XLA knows not.
        (({"flops": 1000.0}, {"flops": 10.0}), 1000.0),
        (({"flops": 1000.0}, None), 1000.0),
        ((None, {}), None),
    ],
)
def test_the_larger_count_is_taken(counts, expected):
    from benchmarks import card

    class Stage:
        def __init__(self, count):
            self.cost_analysis = lambda: count

    assert card.flops(*map(Stage, counts)) == expected


@pytest.mark.parametrize(
    ("kind", "peak", "share"),
    [("NVIDIA H200", 494.7, 1.0), ("NVIDIA H300", None, None)],
)
def test_achieved_beside_the_peak_of_a_known_card(monkeypatch, kind, peak, share):
    from benchmarks import card

    class Device:
        device_kind = kind

    monkeypatch.setattr(jax, "devices", lambda: [Device()])
    found = card.achieved(494.7e12 / 2, [0.5, 0.5], "float32")
    assert found == {
        "flops": 494.7e12 / 2,
        "tflops": dict.fromkeys(SPREAD, pytest.approx(494.7)),
        "peak": peak,
        "of_peak": share if share is None else pytest.approx(share),
    }
    assert card.achieved(None, [0.5], "float32") is None


def test_a_card_is_known_by_its_whole_name():
    from benchmarks import card

    assert card.peak_tflops("NVIDIA H100 PCIe", "bfloat16") == 756.0
    assert card.peak_tflops("NVIDIA H100 80GB HBM3", "bfloat16") == 989.4
    assert card.peak_tflops("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "bfloat16") is None
    assert card.peak_tflops("NVIDIA H200", "float64") is None
    # A tensor core makes two products of 16 bits in the time of one of TF32.
    for peaks in card.PEAK_TFLOPS.values():
        assert peaks["bfloat16"] == pytest.approx(2 * peaks["float32"], rel=0.02)


def test_a_program_takes_its_arguments_and_results():
    from benchmarks import card

    built = build(lambda x: 2 * x, (1000,))
    assert card.program_bytes(built.program) == 2 * 4000


def test_the_peak_of_memory_is_that_of_the_device(monkeypatch):
    from benchmarks import card

    class Device:
        def __init__(self, stats):
            self.memory_stats = lambda: stats

    for stats, peak in ((None, None), ({}, None), ({"peak_bytes_in_use": 7}, 7)):
        monkeypatch.setattr(jax, "devices", lambda stats=stats: [Device(stats)])
        assert card.peak_bytes() == peak
