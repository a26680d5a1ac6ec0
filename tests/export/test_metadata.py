"""Whatever metadata.json holds, a detector loads as it was or is refused in a line."""

import json

import pytest

from vae_jax.export import load_detector

JUNK = [
    *("null", "true", "-1", "0", "1.5", "NaN", "-Infinity", "1e999", '""', '"x"', "[]"),
    *("{}", "[null]", '{"": 0}', '[["a"]]', "1" * 400, "1" * 5000),
    "[" * 10**5 + "]" * 10**5,
    "[" * 10**5,
    "",
]
"""What may stand where a value stood; not all of it is JSON."""
GOOD = {
    *(("about", "{}"), ("about", '{"": 0}')),
    *(("exported_with/jax", '""'), ("exported_with/jax", '"x"')),
}
SCORES = ("count", "ranks", "values")
PLACES = [
    *("format", "format_version", "image", "image/size", "image/channels", "about"),
    *("exported_with", "exported_with/jax", "sha256", "sha256/program.bin"),
    *("sha256/weights~gain.npy", "calibration", "calibration/images"),
    *(f"calibration/images/{name}" for name in SCORES),
    *("calibration/pixels", *(f"calibration/pixels/{name}" for name in SCORES)),
    *("calibration/areas", "calibration/area_thresholds"),
]
MARK = "here stands another value"


def with_mark(parts, place):
    """The text of metadata.json with a mark instead of the value at `place`."""
    metadata = json.loads(parts["metadata.json"])
    inside = metadata
    *outer, last = (key.replace("~", "/") for key in place.split("/"))
    for key in outer:
        inside = inside[key]
    assert last in inside
    inside[last] = MARK
    return json.dumps(metadata)


def refusal(path):
    with pytest.raises(ValueError, match="load_detector: ") as caught:
        load_detector(path)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 600
    assert str(path) in message
    return message


@pytest.mark.parametrize("place", PLACES)
def test_what_is_used_is_of_its_type_and_range(parts, packed, place):
    text = with_mark(parts, place)
    for junk in JUNK:
        if (place, junk) not in GOOD:
            content = text.replace(f'"{MARK}"', junk).encode()
            refusal(packed({"metadata.json": content}))


@pytest.mark.parametrize("place", PLACES)
def test_what_is_missing_is_named(parts, packed, place):
    text = with_mark(parts, place)
    key = place.split("/")[-1].replace("~", "/")
    content = text.replace(f'"{key}": "{MARK}"', '"else": 0')
    assert content != text
    message = refusal(packed({"metadata.json": content.encode()}))
    assert place == "format" or key in message


@pytest.mark.parametrize("name", ["metadata.json", "check.json"])
@pytest.mark.parametrize("junk", [*JUNK, b"\xff\xfe\x00", b"{}\x00"])
def test_a_whole_file_of_something_else(packed, name, junk):
    path = packed({name: junk if isinstance(junk, bytes) else junk.encode()})
    if name == "check.json" and junk in ("null", "{}", '{"": 0}'):
        assert load_detector(path).metadata["check"] in (None, {}, {"": 0})
    else:
        refusal(path)


def test_digests_of_everything_are_needed(parts, packed):
    """Without one a program or weights could be others, and nobody would know."""
    metadata = json.loads(parts["metadata.json"])
    for kept in ({}, {"program.bin": metadata["sha256"]["program.bin"]}):
        content = json.dumps(metadata | {"sha256": kept}).encode()
        assert "has no SHA-256 of" in refusal(packed({"metadata.json": content}))


def test_a_number_that_is_not_finite_is_refused_wherever_it_stands(parts, packed):
    """Not only where it would decide: at the end of an inspection JSON refuses it."""
    for junk in ("NaN", "1e999"):
        content = with_mark(parts, "about").replace(f'"{MARK}"', f'{{"a": {junk}}}')
        message = refusal(packed({"metadata.json": content.encode()}))
        assert "numbers must be finite" in message


def test_what_is_not_used_may_be_anything(parts, packed):
    content = with_mark(parts, "meaning").replace(MARK, "of another language")
    assert load_detector(packed({"metadata.json": content.encode()})).image_size == 8


def test_endless_metadata_are_not_read(packed):
    content = b'{"a": "' + b"x" * 2**25 + b'"}'
    assert "bytes, more than" in refusal(packed({"metadata.json": content}))
