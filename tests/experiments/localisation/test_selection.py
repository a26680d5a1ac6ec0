import dataclasses

import pytest

from experiments import mvtec
from experiments.localisation import prepare, selection
from vae_jax.detection.methods import DEFAULT_METHOD, METHODS


def select(*names, **settings):
    asked = dataclasses.replace(mvtec.QUICK, methods=names, **settings)
    return selection.select(asked)


def test_groups_and_names_are_selected_once_and_the_default_is_always_first():
    chosen = select("floor", "paper", "floor", "paper@relu1")
    names = list(chosen)
    assert names[0] == DEFAULT_METHOD
    assert names[-2:] == ["paper", "paper@relu1"]
    assert chosen["paper@relu1"] == "attention"
    floors = [name for name in names if chosen[name] == "floor"]
    assert floors == [name for name in METHODS if METHODS[name].kind == "floor"]


def test_by_default_every_map_of_the_network_is_compared():
    assert tuple(selection.select(mvtec.QUICK)) == tuple(METHODS)


def test_all_is_every_group():
    parts = select("vae", "floor", "baseline")
    assert parts == select("all")


@pytest.mark.parametrize("name", ["papr", "papr@conv1", "floor@conv1", "ae-l2@conv1"])
def test_an_unknown_method_is_named_with_those_there_are(name):
    with pytest.raises(ValueError, match=f"there is no '{name}'.*Methods: "):
        select(name)


def test_taps_named_by_methods_are_checked_too():
    settings = dataclasses.replace(mvtec.QUICK, methods=("paper@conv9", "kl"))
    assert selection.taps_of(settings) == [settings.tap, "conv9"]


def test_several_seeds_have_folders_of_their_own():
    settings = dataclasses.replace(mvtec.QUICK, seed=3, seeds=2, workdir="runs/x")
    runs = settings.of_each_seed()
    assert [(run.seed, run.workdir) for run in runs] == [
        (3, "runs/x/seed-3"),
        (4, "runs/x/seed-4"),
    ]
    assert mvtec.QUICK.of_each_seed() == [mvtec.QUICK]


def test_the_feature_dictionary_is_called_random_without_weights():
    assert "feature-dictionary-random" in select("baseline")
    assert "feature-dictionary" not in select("baseline")
    assert "feature-dictionary" in select("baseline", feature_weights="resnet.npz")
    with pytest.raises(ValueError, match="--feature-weights"):
        select("feature-dictionary")


def test_weights_are_read_before_training_if_a_method_wants_them(tmp_path):
    missing = str(tmp_path / "resnet18.npz")
    asked = dataclasses.replace(
        mvtec.QUICK, methods=("baseline",), feature_weights=missing
    )
    with pytest.raises(OSError, match=r"resnet18\.npz"):
        prepare.check(asked)
    prepare.check(dataclasses.replace(asked, methods=("floor",)))
