import itertools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_jax.data import factor_records
from vae_jax.data.factors import FactorGrid


def test_the_last_factor_is_fastest():
    grid = FactorGrid(("a", "b", "c"), (2, 3, 4))
    assert grid.size == 24
    combinations = np.array([*itertools.product(range(2), range(3), range(4))])
    np.testing.assert_array_equal(grid.classes(np.arange(24)), combinations)
    np.testing.assert_array_equal(grid.index(combinations), np.arange(24))
    assert grid.index(np.array([1, 2, 3])) == 12 + 2 * 4 + 3


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_index_and_classes_are_inverse(sizes):
    grid = FactorGrid(tuple(map(str, range(len(sizes)))), tuple(sizes))
    everything = np.arange(grid.size)
    classes = grid.classes(everything)
    np.testing.assert_array_equal(
        classes, np.stack(np.unravel_index(everything, grid.sizes), axis=-1)
    )
    np.testing.assert_array_equal(grid.index(classes), everything)


@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_jax_and_numpy_agree_under_jit(shape):
    grid = FactorGrid(("a", "b", "c"), (3, 5, 7))
    index = np.random.default_rng(0).integers(0, grid.size, shape)
    traced = jax.jit(grid.classes)(jnp.asarray(index))
    np.testing.assert_array_equal(traced, grid.classes(np.asarray(index)))
    np.testing.assert_array_equal(jax.jit(grid.index)(traced), index)


def test_every_so_many_th_value_begins_at_the_first():
    grid = FactorGrid(("a", "b", "c"), (3, 6, 7))
    some = grid.every((1, 2, 3))
    assert some == FactorGrid(("a", "b", "c"), (3, 3, 3))
    kept = some.classes(np.arange(some.size)) * np.array([1, 2, 3])
    assert kept.max(0).tolist() == [2, 4, 6]
    whole = grid.classes(np.arange(grid.size))
    np.testing.assert_array_equal(whole[(whole % [1, 2, 3] == 0).all(1)], kept)


@pytest.mark.parametrize(
    ("names", "sizes"), [(("a",), (2, 3)), (("a", "b"), (2, 0)), ((), (1,))]
)
def test_a_factor_without_name_or_value_is_refused(names, sizes):
    with pytest.raises(ValueError, match="FactorGrid: every factor needs a name and"):
        FactorGrid(names, sizes)


@pytest.mark.parametrize("strides", [(1,), (1, 0), (1, 2, 3)])
def test_strides_are_one_for_each_factor(strides):
    with pytest.raises(ValueError, match="every: strides must be 2 positive numbers"):
        FactorGrid(("a", "b"), (2, 3)).every(strides)


@pytest.fixture
def opened(monkeypatch):
    """The folders that are opened; opening raises what is put in `error`."""
    found = SimpleNamespace(folders=[], error=ValueError("no records"))

    def open_folder(folder):
        found.folders.append(folder)
        raise found.error

    monkeypatch.setattr(factor_records.tfds, "builder_from_directory", open_folder)
    return found


def read(folder):
    return factor_records.read_grid(
        folder, {"a": "label"}, channels=1, store=lambda pixels: pixels, source="A set"
    )


@pytest.mark.parametrize(
    ("folders", "last"),
    [
        (["9.0.0", "10.0.0", "2.1.0"], "10.0.0"),
        (["1.2.9", "1.10.0", "1.9.9"], "1.10.0"),
        (["small/3.0.0", "whole/10.0.0", "whole/9.0.0"], "whole/10.0.0"),
    ],
)
def test_the_last_version_by_number_is_read(tmp_path, opened, folders, last):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "dataset_info.json").touch()
    with pytest.raises(ValueError, match=r"A set as array records, .* \(no records\)"):
        read(tmp_path)
    assert opened.folders == [tmp_path / last]


def test_a_lack_of_memory_is_not_taken_for_bad_records(tmp_path, opened):
    (tmp_path / "dataset_info.json").touch()
    opened.error = MemoryError()
    with pytest.raises(MemoryError):
        read(tmp_path)
