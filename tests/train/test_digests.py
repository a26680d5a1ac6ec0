import json

import pytest

from vae_jax.train import digests


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "state" / "d").mkdir(parents=True)
    (tmp_path / "state" / "d" / "a").write_bytes(bytes(range(256)))
    (tmp_path / "state" / "empty").touch()
    (tmp_path / "about").write_text("{}")
    digests.write_digests(tmp_path)
    return tmp_path


def test_nothing_is_found_where_nothing_changed(folder):
    assert digests.find_damage(folder) is None
    noted = json.loads((folder / digests.NAME).read_text())["sha256"]
    assert set(noted) == {"about", "state/d/a", "state/empty"}
    # Of no bytes, by FIPS 180-4.
    assert noted["state/empty"].startswith("e3b0c44298fc1c149afbf4c8996fb924")


@pytest.mark.parametrize("bit", range(8))
def test_every_single_bit_counts(folder, bit):
    path = folder / "state" / "d" / "a"
    for index in (0, 100, 255):
        spoilt = bytearray(range(256))
        spoilt[index] ^= 1 << bit
        path.write_bytes(spoilt)
        found = digests.find_damage(folder)
        assert found == "state/d/a holds other bytes than were written"


def test_what_is_cut_or_gone_is_named(folder):
    (folder / "state" / "d" / "a").write_bytes(bytes(range(255)))
    assert "state/d/a holds other bytes" in digests.find_damage(folder)
    (folder / "state" / "d" / "a").unlink()
    assert digests.find_damage(folder) == "state/d/a is missing"
    (folder / digests.NAME).unlink()
    assert digests.find_damage(folder) == "digests.json is missing"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"sha256": 3}', "\udcff"])
def test_digests_that_are_none_are_damage_too(folder, text):
    path = folder / digests.NAME
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert (
        digests.find_damage(folder)
        == "digests.json holds other bytes than were written"
    )


def test_a_folder_in_place_of_a_file_is_named(folder):
    (folder / "about").unlink()
    (folder / "about").mkdir()
    assert digests.find_damage(folder) == "about cannot be read: Is a directory"
