"""An archive takes no more memory than its size allows, and holds what it names."""

import io
import json
import tracemalloc
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export as jax_export

from vae_jax.calibration import from_normal_maps
from vae_jax.export import load_detector, save_detector

SIDE = 8
GAIN = "weights/gain.npy"


def refusal(path):
    with pytest.raises(ValueError, match="load_detector: ") as caught:
        load_detector(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def written(values, **options):
    buffer = io.BytesIO()
    np.save(buffer, values, **options)
    return buffer.getvalue()


def test_a_bomb_is_not_unpacked(packed):
    path = packed({"bomb": bytes(2**26)}, compression=zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    message = refusal(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "more than 20 times" in message
    assert most < 2**22


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_cannot_be_bounded_is_not_unpacked(packed, method):
    assert "than by deflate" in refusal(packed(compression=method))


def test_packed_again_by_another_tool_it_is_the_same_detector(packed):
    path = packed({"weights/": b""}, compression=zipfile.ZIP_DEFLATED)
    assert load_detector(path).image_size == SIDE


def test_two_files_of_one_name(packed):
    path = packed()
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Dup"):
        archive.writestr(GAIN, written(np.float32(3)))
    assert "have one name" in refusal(path)


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"no array",
        written(np.zeros(2, np.float32)),
        written(np.array("2")),
        written(np.zeros((), "f4,f4")),
        written(np.int32(2)),
        written(np.float16(2)),
        written(np.float32(2)) + b"0000",
        written(np.float32(2))[:-1],
        written(np.array([{}]), allow_pickle=True),
        written(np.zeros(0, np.float32)).replace(b"(0,), ", b"(9999999999999,), "),
    ],
    ids=[
        "none",
        "empty",
        "text",
        "shape",
        "words",
        "records",
        "integer",
        "half",
        "long",
        "cut",
        "pickle",
        "endless",
    ],
)
def test_weights_are_what_the_program_is_called_with(packed, content):
    assert "weights/" in refusal(packed({GAIN: content}, signed=True))


def test_weights_that_are_left_over(packed):
    extra = {"weights/bias.npy": written(np.float32(1))}
    assert "called with" in refusal(packed(extra, signed=True))
    assert "has no SHA-256 of weights/bias.npy" in refusal(packed(extra))


@pytest.mark.parametrize("kept", [0, 1, 3, 100, 500, -9])
def test_a_program_that_was_cut(parts, packed, kept):
    content = parts["program.bin"][:kept]
    assert "exported with jax" in refusal(packed({"program.bin": content}, signed=True))


def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, jnp.float32)


WEIGHTS = {"gain": shape()}
(MANY,) = jax_export.symbolic_shape("batch")
SQUARES = shape(MANY, SIDE, SIDE, 1)


def first(weights, images):
    return weights["gain"] * images[..., 0]


def highest(weights, images):
    return first(weights, images).max((1, 2))


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (first, (WEIGHTS, shape(1, SIDE, SIDE, 1))),
        (first, (WEIGHTS, shape(MANY, 9, 9, 1))),
        (highest, (WEIGHTS, SQUARES)),
        (lambda images: images[..., 0], (SQUARES,)),
        (lambda *given: (first(*given),) * 2, (WEIGHTS, SQUARES)),
    ],
    ids=["one image at a time", "another size", "scores", "no weights", "two maps"],
)
def test_a_program_of_something_else(packed, function, arguments):
    other = jax_export.export(jax.jit(function), platforms=["cpu"])(*arguments)
    path = packed({"program.bin": bytes(other.serialize())}, signed=True)
    assert "program.bin does not make maps" in refusal(path)


@pytest.mark.parametrize(("size", "channels"), [(60000, 1), (8, 3), (8, 2), (-8, 1)])
def test_a_size_that_is_not_the_program_s_asks_for_no_memory(
    parts, packed, size, channels
):
    metadata = json.loads(parts["metadata.json"])
    metadata["image"] = {"size": size, "channels": channels}
    message = refusal(packed({"metadata.json": json.dumps(metadata).encode()}))
    assert f"'channels': {channels}, 'size': {size}" in message


def test_weights_of_half_precision_are_kept(tmp_path):
    images = np.full((1, SIDE, SIDE, 1), 255, np.uint8)
    maps = np.full((1, SIDE, SIDE), 1.5, np.float32)
    detector = save_detector(
        tmp_path / "detector.zip",
        lambda weights, images: weights.astype(jnp.float32) * images[..., 0],
        jnp.asarray(1.5, jnp.bfloat16),
        images=images,
        maps=maps,
        calibration=from_normal_maps(maps),
        about={},
    )
    np.testing.assert_array_equal(detector.maps(images), maps)


def test_weights_of_64_bits_are_those_of_a_program_of_32(packed):
    path = packed({GAIN: written(np.float64(2))}, signed=True)
    images = np.full((1, SIDE, SIDE, 1), 255, np.uint8)
    np.testing.assert_array_equal(load_detector(path).maps(images), 2)


def test_a_program_of_64_bits_says_what_it_needs(packed):
    with jax.enable_x64(True):
        wide = {"gain": jax.ShapeDtypeStruct((), jnp.float64)}

        def function(weights, images):
            return first(weights, images).astype(jnp.float32)

        other = jax_export.export(jax.jit(function), platforms=["cpu"])(wide, SQUARES)
    changes = {"program.bin": bytes(other.serialize()), GAIN: written(np.float64(2))}
    path = packed(changes, signed=True)
    assert "set JAX_ENABLE_X64=1" in refusal(path)
    with jax.enable_x64(True):
        assert load_detector(path).channels == 1
