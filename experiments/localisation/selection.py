"""The methods that a run compares, by the names and groups of its settings."""

from collections.abc import Mapping

from experiments.localisation.baselines import BASELINES, available
from experiments.localisation.settings import Settings
from vae_jax.detection import ABLATION, DEFAULT_METHOD, METHODS, Kind
from vae_jax.spelling import did_you_mean


def select(settings: Settings) -> dict[str, Kind]:
    """The methods that the settings name, or name a group of, each once.

    The default method is always among them, and first: reports and detectors are its.

    Raises:
        ValueError: A name is neither a method, with or without @tap, nor a group; or it
            is a method that wants a file of weights, and there is none.
    """
    kinds: dict[str, Kind] = {name: each.kind for name, each in METHODS.items()}
    baselines = available(settings)
    kinds.update({name: "baseline" for name in baselines})
    vae = [name for name in METHODS if kinds[name] != "floor"]
    groups = {
        "all": list(kinds),
        "vae": vae,
        "ablation": [*vae, *ABLATION],
        "floor": [name for name in METHODS if kinds[name] == "floor"],
        "baseline": baselines,
    }
    kinds.update({name: each.kind for name, each in ABLATION.items()})
    chosen: dict[str, Kind] = {DEFAULT_METHOD: kinds[DEFAULT_METHOD]}
    for name in settings.methods:
        base, _, tap = name.partition("@")
        if name == "feature-dictionary" and name not in kinds:
            raise ValueError(
                "--methods: feature-dictionary wants ImageNet weights; give their file "
                "with --feature-weights, or take feature-dictionary-random."
            )
        if base not in (METHODS | ABLATION if tap else kinds | groups):
            raise ValueError(
                f"--methods: there is no {name!r}"
                f"{did_you_mean(base, [*kinds, *groups])} "
                f"Groups: {', '.join(groups)}. Methods: {', '.join(kinds)}."
            )
        chosen |= {each: kinds[each.split("@")[0]] for each in groups.get(name, [name])}
    return chosen


def of_the_vae(kinds: Mapping[str, Kind]) -> list[str]:
    """Those of the methods that need no network of their own: one program makes all."""
    return [name for name in kinds if name not in BASELINES]


def taps_of(settings: Settings) -> list[str]:
    """Every tap that the settings name."""
    named = [name.partition("@")[2] for name in select(settings)]
    return [settings.tap, *(tap for tap in named if tap)]
