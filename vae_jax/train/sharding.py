"""Devices, processes, and which part of a batch lies where."""

from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree


def initialize_distributed(
    *,
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    shutdown_timeout_seconds: int = 300,
) -> None:
    """Joins this process to the others of the run; call it before any other use of jax.

    Without the first three arguments jax asks the environment (TPU pod, SLURM, Open
    MPI, Kubernetes). A process that is done waits `shutdown_timeout_seconds` for the
    others to be; longer, and jax aborts them.

    Raises:
        ValueError: Some but not all of the three arguments were given.
        ConnectionError: The processes could not be joined. A run that went on alone
            would train on a part of the data and write over the others' files.
    """
    arguments = (coordinator_address, num_processes, process_id)
    if any(a is None for a in arguments) and any(a is not None for a in arguments):
        raise ValueError(
            "initialize_distributed: coordinator_address, num_processes and process_id "
            f"must be given together or not at all, got {arguments}."
        )
    try:
        jax.distributed.initialize(
            *arguments, shutdown_timeout_seconds=shutdown_timeout_seconds
        )
    except (RuntimeError, ValueError) as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise ConnectionError(
            f"initialize_distributed: could not join the other processes ({reason}) "
            "Give coordinator_address, num_processes and process_id, start this before "
            "other jax code, and see docs/pods.md."
        ) from error


def is_primary() -> bool:
    """Whether this process is the one that writes logs, tables and figures."""
    return jax.process_index() == 0


def data_mesh(devices: Sequence | None = None) -> Mesh:
    """One axis, "data", over the given devices; by default all of all processes."""
    devices = jax.devices() if devices is None else devices
    # Auto: the compiler spreads the work from the shardings of inputs and outputs.
    return Mesh(np.asarray(devices), ("data",), axis_types=(AxisType.Auto,))


def runs_mesh(runs: int, devices: Sequence | None = None) -> Mesh:
    """One axis, "run", over as many of the devices as divide `runs` evenly.

    By default of all devices of all processes; of several processes all are needed.

    Raises:
        ValueError: There is no run, or several processes have devices left over.
    """
    devices = jax.devices() if devices is None else devices
    if runs < 1:
        raise ValueError(f"runs_mesh: runs must be at least 1, got {runs}.")
    number = max(n for n in range(1, len(devices) + 1) if runs % n == 0)
    if jax.process_count() > 1 and number < len(devices):
        raise ValueError(
            "runs_mesh: in several processes runs must be a multiple of the number of "
            f"devices, {len(devices)}, got {runs}; add runs or start one process."
        )
    return Mesh(np.asarray(devices[:number]), ("run",), axis_types=(AxisType.Auto,))


def is_on_cpu(mesh: Mesh) -> bool:
    """Whether the devices are the cores that the host's own work needs too."""
    return mesh.devices.flat[0].platform == "cpu"


def replicated(mesh: Mesh) -> NamedSharding:
    """The same values on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split_batches(mesh: Mesh) -> NamedSharding:
    """For leaves [steps, batch, ...]: each device holds its share of every batch."""
    return NamedSharding(mesh, PartitionSpec(None, "data"))


def split_runs(mesh: Mesh) -> NamedSharding:
    """For leaves [run, ...]: each device holds its share of the runs."""
    return NamedSharding(mesh, PartitionSpec("run"))


def check_batch_size(batch_size: int, mesh: Mesh) -> None:
    """Raises ValueError unless the global batch divides evenly over the devices."""
    devices = mesh.size
    if batch_size > 0 and batch_size % devices == 0:
        return
    below = max(batch_size, 0) // devices * devices
    sizes = f"{below} or {below + devices}" if below else f"{devices}"
    raise ValueError(
        "check_batch_size: the batch size must be a multiple of the number of devices, "
        f"{devices}, got {batch_size}; the nearest that work: {sizes}."
    )


def put_batches(batches: Sequence[PyTree], mesh: Mesh) -> PyTree:
    """Stacks this process's share of consecutive batches into global device arrays.

    Each leaf is [local batch, ...] and becomes [steps, batch, ...] over `mesh`. The
    values are copied, so the host arrays may be used again.
    """
    sharding = split_batches(mesh)

    def put(*leaves):
        return jax.make_array_from_process_local_data(sharding, np.stack(leaves))

    return jax.tree.map(put, *batches)


def local_copy(tree: PyTree) -> PyTree:
    """Replicated arrays as this process alone holds them, on one of its devices.

    What is computed from them involves no other process: each can evaluate by itself.
    """
    return jax.tree.map(lambda x: x.addressable_data(0), tree)
