import jax
import numpy as np
import pytest

from vae_jax.train import (
    check_batch_size,
    data_mesh,
    initialize_distributed,
    local_copy,
)
from vae_jax.train.sharding import put_batches


def test_every_device_holds_its_rows_of_every_batch():
    mesh = data_mesh()
    batches = [np.arange(16.0).reshape(16, 1) + 100 * k for k in range(3)]
    stacked = put_batches(batches, mesh)
    assert stacked.shape == (3, 16, 1)
    np.testing.assert_array_equal(stacked, np.stack(batches))
    for i, shard in enumerate(stacked.addressable_shards):
        np.testing.assert_array_equal(shard.data[2, :, 0], 200 + np.arange(2) + 2 * i)


def test_a_local_copy_is_the_same_on_one_device(toy):
    params = toy.new_state(data_mesh()).params
    copy = local_copy(params)
    jax.tree.map(np.testing.assert_array_equal, copy, params)
    assert {len(x.sharding.device_set) for x in jax.tree.leaves(copy)} == {1}


def test_host_arrays_may_be_used_again():
    batch = np.ones((8, 1024), np.float32)
    placed = put_batches([batch], data_mesh())
    batch[:] = 7
    assert float(placed.max()) == 1


@pytest.mark.parametrize(
    ("size", "nearest"), [(30, "24 or 32"), (3, "8"), (0, "8"), (-8, "8")]
)
def test_batch_must_divide_over_the_devices(size, nearest):
    with pytest.raises(ValueError, match=rf"8, got {size}; .* work: {nearest}\.$"):
        check_batch_size(size, data_mesh())
    check_batch_size(32, data_mesh())
    check_batch_size(30, data_mesh(jax.devices()[:1]))


def test_processes_are_told_everything_or_nothing():
    with pytest.raises(ValueError, match=r"given together or not at all, got"):
        initialize_distributed(num_processes=2)


def test_a_run_that_cannot_join_the_others_does_not_go_on_alone(monkeypatch):
    for name in ("SLURM_JOB_ID", "OMPI_MCA_orte_hnp_uri", "TPU_WORKER_HOSTNAMES"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        ConnectionError, match=r"^initialize_distributed: could not join"
    ):
        initialize_distributed()


def test_an_error_without_a_text_is_named(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError

    monkeypatch.setattr(jax.distributed, "initialize", fail)
    with pytest.raises(ConnectionError, match=r"other processes \(RuntimeError\(\)\)"):
        initialize_distributed()
