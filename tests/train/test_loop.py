import itertools
import os
import re
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import multihost_utils
from tensorboardX import SummaryWriter  # noqa: F401  (its import is slow: not in a test)

from vae_jax import train
from vae_jax.train.loop import _dispatches


@pytest.fixture
def fit(toy, tmp_path):
    """`fit(name, steps=...)` trains the toy in the folder `name`."""

    def run(name, *, batches=toy.batches, step=None, **changes):
        mesh = train.data_mesh(jax.devices()[:2])
        options = {
            "steps": 30, "log_every": 3, "evaluate_every": 10, "checkpoint_every": 8,
            "evaluate": toy.evaluate, "mesh": mesh,
        } | changes  # fmt: skip
        with train.Checkpoints(tmp_path / name, config={}) as checkpoints:
            return train.fit(
                toy.new_state(mesh), step or toy.train_step(), batches,
                checkpoints=checkpoints, **options,
            )  # fmt: skip

    return run


def stopped_by(number, batches, *, at):
    """`batches`, but the process receives a signal while it makes batch `at`."""

    def iterate(start):
        for k, batch in enumerate(batches(start), start):
            if k == at:
                os.kill(os.getpid(), number)
            yield batch

    return iterate


def assert_same_bits(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_training_lowers_the_loss(fit, tmp_path, read_metrics):
    fit("run", steps=150, log_every=1, evaluate_every=150, checkpoint_every=150)
    losses = [line["loss"] for line in read_metrics(tmp_path / "run") if "loss" in line]
    assert len(losses) == 150
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])


@pytest.mark.parametrize("per_call", [1, 2])
def test_an_interrupted_run_ends_as_one_that_was_not(
    toy, fit, tmp_path, read_metrics, per_call
):
    whole = fit("whole", steps_per_call=per_call)
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        batches = stopped_by(number, toy.batches, at=5 if code == 143 else 17)
        with pytest.raises(train.Interrupted) as stop:
            fit("cut", batches=batches, steps_per_call=per_call)
        assert stop.value.code == code
        assert (tmp_path / "cut" / "checkpoints" / str(stop.value.step)).is_dir()
    assert (
        signal.getsignal(signal.SIGTERM),
        signal.getsignal(signal.SIGINT),
    ) == handlers
    assert_same_bits(fit("cut", steps_per_call=per_call), whole)
    assert read_metrics(tmp_path / "cut") == read_metrics(tmp_path / "whole")


def test_a_signal_during_the_last_evaluation_still_stops_the_program(
    toy, fit, tmp_path
):
    def evaluate(state):
        if int(state.step) == 30:
            os.kill(os.getpid(), signal.SIGTERM)
        return toy.evaluate(state)

    with pytest.raises(train.Interrupted, match="after step 30, which is saved"):
        fit("run", evaluate=evaluate)
    assert (tmp_path / "run" / "checkpoints" / "30").is_dir()


def test_processes_agree_by_numbers_without_a_gap(fit, monkeypatch):
    """Over several runs of one process, and asked by `fit` alone."""
    asked = []
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(
        multihost_utils,
        "reached_preemption_sync_point",
        lambda number: asked.append(number) or len(asked) == 21,
    )
    fit("one", steps_per_call=3)
    # After steps 3, 6, 8, 9, 10 and so on to 30, and once more in the end.
    assert len(asked) == len(list(_dispatches(0, 30, 3, [10, 8]))) + 1 == 15
    with pytest.raises(train.Interrupted, match="after step 6, which is saved"):
        fit("two", evaluate=None)
    assert asked == list(range(asked[0], asked[0] + 21))


def test_a_handler_that_python_did_not_set_is_left_alone(toy, fit, monkeypatch):
    read = signal.getsignal
    monkeypatch.setattr(
        signal, "getsignal", lambda s: None if s == signal.SIGTERM else read(s)
    )
    seen = []

    def evaluate(state):
        seen.append(read(signal.SIGTERM))
        return toy.evaluate(state)

    before = read(signal.SIGTERM)
    fit("run", evaluate=evaluate)
    assert seen == [before] * 3


def test_lines_are_in_the_file_while_the_run_goes_on(toy, fit, tmp_path):
    file, seen = tmp_path / "run" / "metrics.jsonl", []

    def watched(start):
        for batch in toy.batches(start):
            seen.append(file.read_text().count("\n"))
            yield batch

    fit("run", batches=watched, steps=20, log_every=1, evaluate=None,
        checkpoint_every=20)  # fmt: skip
    assert seen[-1] > 10


@pytest.mark.parametrize(
    "name", ["steps_per_call", "log_every", "evaluate_every", "checkpoint_every"]
)
def test_every_nought_steps_is_refused(fit, name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1 step, got 0;"):
        fit("run", **{name: 0})


def test_lines_after_the_last_checkpoint_are_written_once(
    toy, fit, tmp_path, read_metrics
):
    def failing(start):
        yield from itertools.islice(toy.batches(start), 22 - start)
        raise ConnectionError("the store of the images went away")

    whole = fit("whole", evaluate=None)
    with pytest.raises(ConnectionError):
        fit("cut", batches=failing, evaluate=None)
    assert max(line["step"] for line in read_metrics(tmp_path / "cut")) > 16
    saved = (tmp_path / "cut" / "checkpoints").iterdir()
    assert [folder.name for folder in saved] == ["16"]
    with (tmp_path / "cut" / "metrics.jsonl").open("a") as lines:
        lines.write('{"step": 21, "lo')  # cut short by a kill
    assert_same_bits(fit("cut", evaluate=None), whole)
    assert read_metrics(tmp_path / "cut") == read_metrics(tmp_path / "whole")


def test_a_finished_run_is_left_as_it_is(fit, tmp_path, read_metrics):
    whole = fit("run")
    lines = read_metrics(tmp_path / "run")
    assert_same_bits(fit("run"), whole)
    assert read_metrics(tmp_path / "run") == lines


def test_a_run_cannot_be_shorter_than_it_is(fit):
    fit("run", steps=10)
    with pytest.raises(ValueError, match=r"got 9 with a checkpoint of step 10"):
        fit("run", steps=9)


def test_nan_in_the_input_names_the_step_and_the_terms(toy, fit, tmp_path):
    def poisoned(start):
        for k, batch in enumerate(toy.batches(start), start):
            if k == 12:
                batch["targets"][3, 1] = np.nan
            yield batch

    with pytest.raises(FloatingPointError) as error:
        fit("run", batches=poisoned, log_every=100)
    message = str(error.value)
    assert "got grad_norm = nan, loss = nan, squared = nan at step 13;" in message
    assert "batch 12" in message
    checkpoints = (tmp_path / "run" / "checkpoints").iterdir()
    assert [folder.name for folder in checkpoints] == ["10"]


def test_nan_in_the_gradient_alone_is_found(toy, fit):
    def loss_fn(params, model_state, batch, *, key, step):
        loss = jnp.sqrt(jnp.sum(jnp.square(params["out"] * 0)))
        return loss, train.Aux({}, model_state)

    step = train.make_train_step(loss_fn, toy.optimizer(), ema_decay=0.9)
    with pytest.raises(FloatingPointError, match=r"got grad_norm = nan at step 1;"):
        fit("run", step=step)


def test_batches_must_last(toy, fit):
    with pytest.raises(ValueError, match=r"got none for step 21\.$"):
        fit("run", batches=lambda start: itertools.islice(toy.batches(start), 20))


def test_batches_must_divide_over_the_devices(toy, fit):
    def odd(start):
        return ({name: x[:15] for name, x in b.items()} for b in toy.batches(start))

    with pytest.raises(ValueError, match=r"got 15; the nearest that work: 14 or 16"):
        fit("run", batches=odd)


def test_without_checkpoints_nothing_is_written_nor_caught(toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mesh, seen = train.data_mesh(), []

    def evaluate(state):
        seen.append((int(state.step), signal.getsignal(signal.SIGTERM)))
        return {}

    before = signal.getsignal(signal.SIGTERM)
    state = train.fit(
        toy.new_state(mesh), toy.train_step(), toy.batches, steps=5, mesh=mesh,
        evaluate=evaluate, evaluate_every=2,
    )  # fmt: skip
    assert int(state.step) == 5
    assert seen == [(2, before), (4, before), (5, before)]
    assert not list(tmp_path.iterdir())


def test_evaluations_are_logged_and_undefined_figures_are_null(
    fit, tmp_path, read_metrics
):
    fit("run", evaluate=lambda state: {"auroc": float("nan"), "step": int(state.step)})
    lines = [x for x in read_metrics(tmp_path / "run") if x["kind"] == "evaluation"]
    assert [(line["step"], line["auroc"]) for line in lines] == [
        (10, None), (20, None), (30, None),
    ]  # fmt: skip
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))


def test_plain_lines_tell_rate_and_time_left(fit, capfd):
    fit("run", log_every=10)
    said = capfd.readouterr().err.splitlines()
    assert re.match(r"step 10/30  \d+ examples/s  0:00:\d\d left  loss ", said[0])
    assert said[1].startswith("step 10/30  evaluation: size ")


@pytest.mark.parametrize("start", [0, 7, 8, 31])
def test_dispatches_cover_the_run_and_stop_where_something_is_due(start):
    spans = list(_dispatches(start, 50, 8, [20, 15]))
    whole = list(_dispatches(0, 50, 8, [20, 15]))
    ends = [end for _, end in whole]
    assert ends == [8, 15, 16, 20, 24, 30, 32, 40, 45, 48, 50]
    assert spans[0][0] == start
    assert [end for _, end in spans] == [end for end in ends if end > start]
    assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))
