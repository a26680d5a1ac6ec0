import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tensorboardX import SummaryWriter  # noqa: F401  (its import is slow: not in a test)

from vae_jax import train
from vae_jax.train.runs import jit_runs

RUNS = 8
STEPS = 12
HYPER = {"gamma": np.linspace(0.0, 3.5, RUNS, dtype=np.float32)}


def init(key):
    """A linear autoencoder and an adversary of its two codes."""
    keys = jax.random.split(key, 3)
    vae = {
        "encode": jax.random.normal(keys[0], (5, 2)) / 2,
        "decode": jax.random.normal(keys[1], (2, 5)) / 2,
    }
    return {
        "vae": vae,
        "discriminator": jax.random.normal(keys[2], (2,)),
    }, {"seen": jnp.zeros(())}


def loss_fn(params, model_state, batch, *, key, step, hyper):
    """As FactorVAE's: each side sees the other, and none moves the other."""
    stop = jax.lax.stop_gradient
    codes = batch @ params["vae"]["encode"]
    codes = codes + 0.1 * jax.random.normal(key, codes.shape)
    error = jnp.mean(jnp.square(codes @ params["vae"]["decode"] - batch))
    fooled = jnp.mean(jnp.tanh(codes @ stop(params["discriminator"])))
    seen = jnp.mean(jnp.tanh(stop(codes) @ params["discriminator"]))
    loss = error + hyper["gamma"] * fooled - seen
    return loss, train.Aux({"error": error}, {"seen": model_state["seen"] + 1})


def draw(data, key):
    return data[jax.random.randint(key, (16,), 0, len(data))]


DATA = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)


def optimizer():
    return train.by_part(
        {
            "vae": train.adam(1e-2),
            "discriminator": train.adam(1e-2, betas=(0.5, 0.9)),
        }
    )


def run_keys(runs=RUNS):
    return jax.random.split(jax.random.key(1), runs)


def devices_mesh(number):
    return train.runs_mesh(RUNS, jax.devices()[:number])


def new_runs(mesh, *, keys=None, **options):
    keys = run_keys() if keys is None else keys
    return train.create_runs(init, optimizer(), keys=keys, mesh=mesh, **options)


def fit(mesh, *, state=None, hyper=HYPER, workdir=None, drawn=None, step=None, **given):
    options = {"steps": STEPS, "log_every": 2, "checkpoint_every": 5} | given
    state = new_runs(mesh) if state is None else state
    step = train.make_train_step(loss_fn, optimizer()) if step is None else step
    drawn = drawn or train.Drawn(draw, DATA, hyper)
    if workdir is None:
        return train.fit(state, step, drawn, mesh=mesh, **options)
    with train.Checkpoints(workdir, config={}) as checkpoints:
        return train.fit(
            state, step, drawn, mesh=mesh, checkpoints=checkpoints, **options
        )


@pytest.fixture(scope="module")
def trained():
    """All runs, on one device, as numpy arrays."""
    return jax.device_get(fit(devices_mesh(1)))


def assert_close(one, other, *, rtol=1e-5, atol=1e-6):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def assert_same_bits(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def host_batches(state):
    """What the run of `state` draws, by the definition and not by the program."""
    run_key = jax.random.wrap_key_data(state.key_data)
    draw_key = jax.random.fold_in(run_key, np.uint32(2**32 - 1))
    for k in range(STEPS):
        yield np.asarray(draw(DATA, jax.random.fold_in(draw_key, k)))


@pytest.mark.parametrize("run", [0, 3])
def test_each_of_many_runs_is_a_run_of_its_own(trained, run):
    """Made one step at a time by the loop for one run, batches from the host."""
    mesh = train.data_mesh(jax.devices()[:1])
    state = train.create_state(
        init, optimizer(), key=run_keys()[run], mesh=mesh, ema=False
    )
    batches = list(host_batches(state))
    tuned = train.make_train_step(loss_fn, optimizer())
    gamma = jnp.float32(HYPER["gamma"][run])
    alone = train.fit(
        state,
        lambda state, batch: tuned(state, batch, {"gamma": gamma}),
        lambda start: iter(batches[start:]),
        steps=STEPS,
        mesh=mesh,
    )
    assert_close(train.one_run(trained, run), alone)
    assert float(train.one_run(trained, run).model_state["seen"]) == STEPS


def test_a_single_run_is_the_case_of_one(trained):
    mesh = train.runs_mesh(1)
    assert mesh.size == 1
    state = new_runs(mesh, keys=run_keys()[5:6])
    alone = fit(mesh, state=state, hyper={"gamma": HYPER["gamma"][5:6]})
    assert_close(train.one_run(alone, 0), train.one_run(trained, 5))


def test_gathered_runs_lie_whole_on_one_device():
    mesh = devices_mesh(8)
    params = new_runs(mesh).params
    gathered = train.gather_runs(params, mesh)
    assert all(len(leaf.devices()) == 1 for leaf in jax.tree.leaves(gathered))
    assert_close(gathered, params)


def test_eight_devices_make_the_steps_of_one(trained):
    state = fit(devices_mesh(8))
    assert {len(x.sharding.device_set) for x in jax.tree.leaves(state)} == {8}
    kernel = state.params["vae"]["encode"]
    assert [shard.data.shape for shard in kernel.addressable_shards] == [(1, 5, 2)] * 8
    assert_close(state, trained)


def test_several_steps_in_a_dispatch_are_the_steps_one_by_one(trained):
    assert_close(fit(devices_mesh(2), steps_per_call=4), trained)


def test_a_run_draws_from_what_is_its_own():
    """Each is trained on its own half of the data, as it would be alone."""
    halves = np.stack([DATA[:100], DATA[100:]] * 4)

    def draw_own(data, key):
        shared, own = data
        assert shared.shape == DATA.shape
        return draw(own, key)

    drawn = train.Drawn(draw_own, DATA, HYPER, own=halves)
    together = fit(devices_mesh(2), drawn=drawn)
    for run in (0, 3):
        hyper = {name: values[run : run + 1] for name, values in HYPER.items()}
        alone = fit(
            train.runs_mesh(1, jax.devices()[:1]),
            state=new_runs(
                train.runs_mesh(1, jax.devices()[:1]), keys=run_keys()[run : run + 1]
            ),
            drawn=train.Drawn(draw, halves[run], hyper),
        )
        one = train.one_run(alone, 0).params
        assert_close(train.one_run(together, run).params, one)


def test_steps_in_a_loop_are_the_steps_one_by_one(trained):
    drawn = train.Drawn(draw, DATA, HYPER, loops=True)
    assert_close(fit(devices_mesh(1), drawn=drawn, steps_per_call=4), trained)


def test_runs_differ_by_their_keys_and_hyper_parameters_alone(trained):
    mesh = devices_mesh(1)
    keys = jax.random.wrap_key_data(
        jnp.tile(jax.random.key_data(jax.random.key(3))[None], (RUNS, 1))
    )
    gammas = np.array([0, 0, 1, 1, 0, 0, 1, 1], np.float32)
    state = fit(mesh, state=new_runs(mesh, keys=keys), hyper={"gamma": gammas})
    encode = np.asarray(state.params["vae"]["encode"])
    np.testing.assert_array_equal(encode[gammas == 0], encode[:1].repeat(4, 0))
    np.testing.assert_array_equal(encode[gammas == 1], encode[2:3].repeat(4, 0))
    assert np.abs(encode[0] - encode[2]).max() > 1e-3
    different = trained.params["vae"]["encode"].reshape(RUNS, -1)
    assert len(np.unique(different.round(4), axis=0)) == RUNS


def test_the_loss_function_gets_the_hyper_parameters_of_its_run():
    def tell(params, model_state, batch, *, key, step, hyper):
        metrics = {"beta": hyper["beta"], "at": step.astype(jnp.float32)}
        return params["vae"] * hyper["beta"], train.Aux(metrics, {})

    mesh, betas = train.runs_mesh(4), np.array([1, 4, 16, 64], np.float32)
    state = train.create_runs(
        lambda key: ({"vae": jnp.zeros(())}, {}), optax.sgd(1.0),
        keys=run_keys(4), mesh=mesh,
    )  # fmt: skip
    step = train.make_train_step(tell, optax.sgd(1.0))
    take_steps = jit_runs(step, draw, mesh)
    state, metrics = take_steps(3, state, DATA, {"beta": betas})
    np.testing.assert_array_equal(metrics["beta"], np.tile(betas, (3, 1)))
    np.testing.assert_array_equal(metrics["at"], [[k] * 4 for k in range(3)])
    np.testing.assert_array_equal(state.params["vae"], -3 * betas)


def test_every_draw_and_every_step_has_its_own_key():
    def noted(params, model_state, batch, *, key, step, hyper):
        noise = jax.random.uniform(key)
        return params["w"] * 0, train.Aux({"noise": noise, "drawn": batch[0]}, {})

    mesh = train.runs_mesh(4)
    state = train.create_runs(
        lambda key: ({"w": jnp.zeros(())}, {}), optax.sgd(1.0),
        keys=run_keys(4), mesh=mesh,
    )  # fmt: skip
    step = train.make_train_step(noted, optax.sgd(1.0))
    take_steps = jit_runs(step, lambda data, key: jax.random.uniform(key, (1,)), mesh)
    with jax.debug_key_reuse(True):
        _, metrics = take_steps(5, state, DATA, {})
    values = np.concatenate([metrics["noise"].ravel(), metrics["drawn"].ravel()])
    assert len(np.unique(values)) == 2 * 4 * 5


def test_a_run_that_was_cut_off_ends_with_the_same_bits(tmp_path, read_metrics):
    def evaluate(state):
        if int(state.step) == 8 and not (tmp_path / "failed").exists():
            (tmp_path / "failed").touch()
            raise ConnectionError("the machine went away")
        return {"size": jnp.abs(state.params["vae"]["encode"]).sum((1, 2))}

    options = {"evaluate": evaluate, "evaluate_every": 8, "steps_per_call": 2}
    mesh = devices_mesh(4)
    with pytest.raises(ConnectionError):
        fit(mesh, workdir=tmp_path / "cut", **options)
    assert (tmp_path / "cut" / "checkpoints" / "5").is_dir()
    cut = fit(mesh, workdir=tmp_path / "cut", **options)
    whole = fit(mesh, workdir=tmp_path / "whole", **options)
    assert_same_bits(cut, whole)
    assert read_metrics(tmp_path / "cut") == read_metrics(tmp_path / "whole")


def test_runs_saved_on_eight_devices_go_on_on_two(tmp_path, trained):
    fit(devices_mesh(8), workdir=tmp_path, steps=5)
    assert_close(fit(devices_mesh(2), workdir=tmp_path), trained)


def test_lines_hold_a_figure_for_each_run(tmp_path, capfd):
    def evaluate(state):
        return {"score": np.array([np.nan, *range(1, RUNS)]), "all": 2.5}

    fit(devices_mesh(2), workdir=tmp_path, evaluate=evaluate)
    text = (tmp_path / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    *train_lines, last = lines
    assert [line["step"] for line in train_lines] == [2, 4, 6, 8, 10, 12]
    assert {len(line["loss"]) for line in train_lines} == {RUNS}
    assert train_lines[0]["error"] != train_lines[0]["error"][:1] * RUNS
    assert (last["score"], last["all"]) == ([None, *range(1, RUNS)], 2.5)
    said = capfd.readouterr().err
    loss = np.mean(train_lines[-1]["loss"])
    assert f"left  loss {loss:.4g}  error" in said
    assert "evaluation: score nan  all 2.5" in said


def test_checkpoints_of_runs_are_ranked_by_the_mean(tmp_path):
    means = {5: 3.0, 10: 1.0, 12: 2.0}

    def evaluate(state):
        return {"error": np.linspace(-1, 1, RUNS) + means[int(state.step)]}

    mesh = devices_mesh(1)
    step = train.make_train_step(loss_fn, optimizer())
    with train.Checkpoints(tmp_path, config={}, best_by="error") as checkpoints:
        train.fit(
            new_runs(mesh), step, train.Drawn(draw, DATA, HYPER), steps=12,
            mesh=mesh, checkpoints=checkpoints, evaluate=evaluate, evaluate_every=5,
        )  # fmt: skip
        checkpoints.wait()
        assert checkpoints.best_step == 10


def test_examples_are_those_of_all_runs(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "vae_jax.train.progress.Display.train",
        lambda self, step, figures, *, examples_per_step: seen.append(
            examples_per_step
        ),
    )
    fit(devices_mesh(1))
    assert set(seen) == {16 * RUNS}


def test_nan_names_the_runs_the_step_and_the_terms():
    def poisoned(params, model_state, batch, *, key, step, hyper):
        loss, aux = loss_fn(params, model_state, batch, key=key, step=step, hyper=hyper)
        bad = (step == 6) & (hyper["gamma"] > 2.4) & (hyper["gamma"] < 3.4)
        return loss, aux._replace(metrics={"error": jnp.where(bad, jnp.nan, loss)})

    step = train.make_train_step(poisoned, optimizer())
    with pytest.raises(FloatingPointError) as error:
        fit(devices_mesh(2), step=step, steps_per_call=4)
    found = "error = nan in run 5 (gamma = 2.5); error = nan in run 6 (gamma = 3) at"
    assert f"got {found} step 7;" in str(error.value)


def test_runs_that_have_names_are_called_by_them():
    names = [f"seed {i}" for i in range(RUNS)]
    drawn = train.Drawn(draw, DATA, HYPER, names)
    assert drawn.labels(new_runs(devices_mesh(1))) == tuple(names)
    with pytest.raises(ValueError, match="names must be one for each of the 8 runs"):
        drawn._replace(names=names[1:]).labels(new_runs(devices_mesh(1)))


def test_a_figure_may_have_a_number_for_each_latent(tmp_path):
    fit(
        devices_mesh(1),
        workdir=tmp_path,
        evaluate=lambda state: {"kl": np.arange(RUNS * 3.0).reshape(RUNS, 3)},
    )
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["kl"][1] == [3, 4, 5]
    events = b"".join(
        file.read_bytes() for file in (tmp_path / "tensorboard").iterdir()
    )
    assert b"evaluation/kl/1/2" in events
    assert b"evaluation/kl/8" not in events


def test_many_wrong_runs_are_counted():
    def poisoned(params, model_state, batch, *, key, step, hyper):
        return jnp.nan * params["discriminator"].sum(), train.Aux({}, model_state)

    step = train.make_train_step(poisoned, optimizer())
    with pytest.raises(FloatingPointError, match=r"run 3 \(.*\) and 4 more runs at"):
        fit(devices_mesh(1), step=step)


@pytest.mark.parametrize(
    ("hyper", "got"),
    [(np.zeros(3, np.float32), "(3,)"), (np.float32(1), "()")],
)
def test_a_hyper_parameter_is_one_number_for_each_run(hyper, got):
    wanted = (
        f"hyper must hold one number for each of the 8 runs, got beta of shape {got}"
    )
    with pytest.raises(ValueError, match=re.escape(wanted)):
        fit(devices_mesh(1), hyper=HYPER | {"beta": hyper})


def test_a_state_without_the_axis_of_runs_is_refused():
    mesh = devices_mesh(1)
    key = jax.random.key(0)
    state = train.create_state(init, optimizer(), key=key, mesh=mesh)
    with pytest.raises(ValueError, match="must be of runs, got one without the axis"):
        fit(mesh, state=state)


@pytest.mark.parametrize("keys", [jax.random.key(0), run_keys(6)])
def test_keys_are_those_of_the_runs_of_the_mesh(keys):
    shape = re.escape(str(keys.shape))
    with pytest.raises(ValueError, match=rf"number of devices, 4, got shape {shape};"):
        new_runs(devices_mesh(4), keys=keys)


def test_a_mesh_of_runs_leaves_out_devices_that_would_be_short():
    sizes = [train.runs_mesh(n).size for n in (1, 2, 3, 6, 8, 9, 16, 20)]
    assert sizes == [1, 2, 3, 6, 8, 3, 8, 5]
    with pytest.raises(ValueError, match="runs must be at least 1, got 0"):
        train.runs_mesh(0)


def test_several_processes_use_all_devices(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert train.runs_mesh(16).size == 8
    with pytest.raises(ValueError, match="multiple of the number of devices, 8, got 6"):
        train.runs_mesh(6)
