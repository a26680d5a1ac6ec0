import functools
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.folders import InUseError, is_taken
from vae_jax.train import Checkpoints, data_mesh

CONFIG = {"model": {"latents": 32, "taps": ("conv2",)}, "steps": 100, "rate": 1e-3}


@pytest.fixture
def state(toy):
    return toy.new_state(data_mesh())


@pytest.fixture
def open_run(tmp_path):
    return functools.partial(Checkpoints, tmp_path / "run", config=CONFIG)


def at(state, step):
    """The state as if `step` updates had been made."""
    return state._replace(step=jnp.full_like(state.step, step))


def steps_on_disk(checkpoints):
    folders = (checkpoints.workdir / "checkpoints").iterdir()
    return sorted(int(folder.name) for folder in folders)


def test_a_state_comes_back_bit_for_bit(state, open_run):
    with open_run() as checkpoints:
        assert checkpoints.latest_step is None
        assert checkpoints.restore(state) is None
        checkpoints.save(at(state, 7))
    with open_run() as checkpoints:
        restored = checkpoints.restore(state)
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, restored, at(state, 7))


def test_a_state_of_eight_devices_comes_back_on_two(toy, state, open_run):
    two = data_mesh(jax.devices()[:2])
    with open_run() as checkpoints:
        checkpoints.save(state)
        checkpoints.wait()
        restored = checkpoints.restore(toy.new_state(two))
    jax.tree.map(np.testing.assert_array_equal, restored, state)
    assert restored.params["out"].sharding.mesh == two


def test_another_configuration_is_refused_field_by_field(state, open_run):
    other = {"model": {"latents": 64, "taps": ["conv2"]}, "steps": 200, "beta": 4}
    with open_run() as checkpoints:
        checkpoints.save(state)
    with (
        open_run(config=other, may_change=["steps"]) as checkpoints,
        pytest.raises(ValueError, match=r"of another configuration") as refused,
    ):
        checkpoints.restore(state)
    message = str(refused.value)
    assert (
        "(model.latents: 32 -> 64, rate: 0.001 -> absent, beta: absent -> 4)" in message
    )
    assert "\n" not in message


def test_of_lists_of_mappings_the_field_is_named(state, open_run):
    runs = [{"seed": 0, "beta": 1.0}, {"seed": 1, "beta": 1.0}]
    others = [*runs, {"seed": 2, "beta": 1.0}]
    others[1] = {"seed": 1, "beta": 4.0}
    with open_run(config={"runs": runs}) as checkpoints:
        checkpoints.save(state)
    with (
        open_run(config={"runs": others}) as checkpoints,
        pytest.raises(ValueError, match="of another configuration") as refused,
    ):
        checkpoints.restore(state)
    found = "(runs.1.beta: 1.0 -> 4.0, runs.2.seed: absent -> 2, runs.2.beta: absent"
    assert found in str(refused.value)


def test_fields_that_may_change_do(state, open_run):
    with open_run() as checkpoints:
        checkpoints.save(state)
    with open_run(config=CONFIG | {"steps": 200}, may_change=["steps"]) as checkpoints:
        assert checkpoints.restore(state) is not None


def test_another_type_is_refused_not_cast(state, open_run):
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), state.params)
    with open_run() as checkpoints:
        checkpoints.save(state)
        with pytest.raises(
            ValueError, match=r"params.hidden: float32\[4, 32\] -> bfloat16\[4, 32\]"
        ):
            checkpoints.restore(state._replace(params=half))


def test_another_shape_is_refused(state, open_run):
    wide = {**state.params, "out": jnp.zeros((32, 3)), "bias": jnp.zeros(3)}
    with open_run() as checkpoints:
        checkpoints.save(state)
        with pytest.raises(
            ValueError, match=r"out: float32\[32, 2\] .* params.bias: absent ->"
        ):
            checkpoints.restore(state._replace(params=wide))


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_best_and_the_latest_are_kept(state, open_run, mode):
    sign = {"min": 1, "max": -1}[mode]
    losses = [5.0, 1.0, math.nan, 3.0, None, -math.inf, 2.0, None]
    with open_run(best_by="loss", best_mode=mode) as checkpoints:
        for step, loss in enumerate(losses):
            figures = None if loss is None else {"loss": sign * loss, "other": 0.0}
            checkpoints.save(at(state, step), figures=figures)
        checkpoints.wait()
        assert steps_on_disk(checkpoints) == [1, 7]
    with open_run(best_by="loss", best_mode=mode) as checkpoints:
        assert (checkpoints.best_step, checkpoints.latest_step) == (1, 7)
        assert int(checkpoints.restore_best(state).step) == 1


def test_without_figures_the_latest_is_the_best(state, open_run):
    with open_run(best_by="loss") as checkpoints:
        for step in (1, 2):
            checkpoints.save(at(state, step))
        checkpoints.wait()
        assert checkpoints.best_step is None
        assert int(checkpoints.restore_best(state).step) == 2


def test_best_by_must_be_among_the_figures(state, open_run):
    with (
        open_run(best_by="loss") as checkpoints,
        pytest.raises(ValueError, match=r"one of \['kl'\], got 'loss'"),
    ):
        checkpoints.save(state, figures={"kl": 1.0})


def test_a_step_is_saved_once_and_none_behind_the_latest(state, open_run):
    with open_run() as checkpoints:
        checkpoints.save(at(state, 2))
        checkpoints.save(at(state, 2))
        checkpoints.wait()
        assert steps_on_disk(checkpoints) == [2]
        assert checkpoints.latest_step == 2


def test_what_a_killed_save_left_is_ignored_and_removed(state, open_run):
    with open_run() as checkpoints:
        checkpoints.save(at(state, 1))
    leftover = checkpoints.workdir / "checkpoints" / "2.orbax-checkpoint-tmp"
    (leftover / "state").mkdir(parents=True)
    with open_run() as checkpoints:
        assert checkpoints.latest_step == 1
        checkpoints.save(at(state, 2))
        checkpoints.wait()
        assert steps_on_disk(checkpoints) == [2]


@pytest.fixture(scope="module")
def two_kept(toy, tmp_path_factory):
    """A run with a best checkpoint, of step 1, and a later one, of step 2."""
    workdir = tmp_path_factory.mktemp("whole") / "run"
    state = toy.new_state(data_mesh())
    with Checkpoints(workdir, config=CONFIG, best_by="loss") as checkpoints:
        for step in (1, 2):
            checkpoints.save(at(state, step), figures={"loss": float(step)})
    return workdir


@pytest.fixture
def refused(two_kept, tmp_path, state):
    """`refused(spoil)`: what is said of a copy that `spoil(folder)` has damaged."""

    def restore(spoil):
        shutil.copytree(two_kept, tmp_path / "run")
        spoil(tmp_path / "run" / "checkpoints")
        with (
            pytest.raises(ValueError, match=r"checkpoints/\d is damaged") as error,
            Checkpoints(tmp_path / "run", config=CONFIG, best_by="loss") as checkpoints,
        ):
            checkpoints.restore(state)
        shutil.rmtree(tmp_path / "run")
        return str(error.value)

    return restore


def test_a_flipped_bit_is_refused_in_whatever_file(two_kept, refused):
    """A trained network with one other bit would load as if it were the one saved."""
    step = two_kept / "checkpoints" / "2"
    files = [path.relative_to(step) for path in step.rglob("*") if path.is_file()]
    arrays = [file for file in files if file.parts[:2] == ("state", "ocdbt.process_0")]
    assert arrays

    def flip(path):
        spoilt = bytearray(path.read_bytes())
        spoilt[len(spoilt) // 2] ^= 4
        path.write_bytes(spoilt)

    for file in [*arrays, "state/_METADATA", "about/metadata", "digests.json"]:
        said = refused(lambda folder, file=file: flip(folder / "2" / file))
        assert f"is damaged ({'about' if 'about' in str(file) else 'state/'}" in said
        assert said.endswith(
            "Delete it to go on from step 1, or put a copy in its place."
        )
        assert "\n" not in said


@pytest.mark.parametrize(
    "file", ["about/metadata", "state/manifest.ocdbt", "digests.json"]
)
def test_what_is_missing_or_cut_is_one_line_of_ours(refused, file):
    assert "damaged" in refused(lambda folder: (folder / "1" / file).unlink())
    said = refused(lambda folder: (folder / "1" / file).write_bytes(b"{"))
    assert "go on from step 2" in said
    assert "\n" not in said


def test_the_figures_by_which_the_best_is_chosen_are_checked(refused):
    def note(text):
        return lambda folder: (folder / "2" / "metrics" / "metrics").write_text(text)

    for text in ('{"loss": 0.5}', "{"):
        assert "2 is damaged (metrics/metrics holds other bytes" in refused(note(text))


def test_the_only_one_damaged_means_a_new_start(refused):
    def leave_one(folder):
        shutil.rmtree(folder / "1")
        (folder / "2" / "state" / "_METADATA").unlink()

    assert refused(leave_one).endswith(
        "2 is damaged (state/_METADATA is missing). Delete it to start anew, or put a "
        "copy in its place."
    )


def test_what_was_saved_before_there_were_digests_still_loads(
    two_kept, tmp_path, state
):
    shutil.copytree(two_kept, tmp_path / "run")
    for step in (1, 2):
        folder = tmp_path / "run" / "checkpoints" / str(step)
        (folder / "digests.json").unlink()
        about = json.loads((folder / "about" / "metadata").read_text())
        del about["digests"]
        (folder / "about" / "metadata").write_text(json.dumps(about))
    with Checkpoints(tmp_path / "run", config=CONFIG, best_by="loss") as checkpoints:
        assert int(checkpoints.restore(state).step) == 2
        (folder / "state" / "manifest.ocdbt").unlink()
        with pytest.raises(ValueError, match=r"2 is damaged .* go on from step 1"):
            checkpoints.restore(state)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no folders on Linux")
@pytest.mark.parametrize("folder", ["{file}", "{file}/run", "/proc/run"])
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, folder):
    file = tmp_path / "file"
    file.write_text("")
    workdir = folder.format(file=file)
    with pytest.raises(
        OSError, match=rf"cannot write to workdir {workdir} \("
    ) as error:
        Checkpoints(workdir, config={})
    assert "\n" not in str(error.value)


def test_a_run_that_another_process_makes_is_left_alone(
    state, open_run, tmp_path, hold_folder
):
    with open_run() as checkpoints:
        checkpoints.save(state)
    being_saved = tmp_path / "run" / "checkpoints" / "2.orbax-checkpoint-tmp"
    being_saved.mkdir()
    process = hold_folder(tmp_path / "run")
    with pytest.raises(
        InUseError, match=rf"workdir: .*/run .* process {process.pid} on"
    ):
        open_run()
    assert being_saved.exists()
    process.kill()
    process.wait()
    with open_run() as checkpoints:
        assert checkpoints.latest_step == 0
    assert not being_saved.exists()


def test_the_workdir_is_free_when_opening_it_failed(state, two_kept, tmp_path):
    shutil.copytree(two_kept, tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "2" / "metrics" / "metrics").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        Checkpoints(tmp_path / "run", config=CONFIG, best_by="loss")
    assert not is_taken(tmp_path / "run")


def test_a_bucket_must_be_mounted():
    with pytest.raises(ValueError, match=r"got gs://bucket/run; mount the bucket"):
        Checkpoints("gs://bucket/run", config={})


# In a process of its own, for the limit on file sizes that stands in for a full disk.
FULL_DISK = """
import resource, sys
import jax, optax
from vae_jax import train
optimizer = optax.sgd(1.0)
weights = lambda key: {str(n): jax.random.normal(key, (300, 300)) for n in range(20)}
init = lambda key: (weights(key), {})
state = train.create_state(
    init, optimizer, key=jax.random.key(0), mesh=train.data_mesh(), ema=False
)
checkpoints = train.Checkpoints(sys.argv[1], config={})
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
try:
    checkpoints.save(state)
    checkpoints.wait()
except OSError as error:
    sys.exit(str(error))
"""


def test_a_full_disk_is_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if "could not save to" in line]
    assert len(said) == 1
    assert f"could not save to {tmp_path} (File too large)" in said[0]
    assert not Path(tmp_path, "checkpoints", "0").exists()
