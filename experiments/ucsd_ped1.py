"""Localises what does not belong on a walkway, with the attention maps of a VAE.

python -m experiments.ucsd_ped1
python -m experiments.ucsd_ped1 --data-dir UCSD_Anomaly_Dataset.v1p2 --preset standard
python -m experiments.ucsd_ped1 --data-dir UCSD_Anomaly_Dataset.v1p2 --preset paper

The table is that of Liu et al. 2020, Table 1: maps from each of three convolutions
against the residual of the same network, with the mean frame beside them; the panel is
their Figure 5. Without --data-dir it runs on an embedded synthetic walkway, in the
layout of UCSD Ped1. Frames are seen one by one: speed shows only as a shape.
What the commands print, on which machine and in which time: docs/results.md.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from experiments.launch import runner
from experiments.localisation.settings import (
    PUBLISHED_BASELINES,
    QUICK_BASELINES,
    Settings,
)
from vae_jax.data.layout import GOOD

if TYPE_CHECKING:  # --help must answer at once
    from experiments.localisation.fit import Fit
    from experiments.localisation.prepare import Prepared
    from vae_jax.data.category import CategoryData, TestImages

TAPS = ("conv1", "conv2", "conv3")
"""The convolutions of Table 1: maps of half, a quarter and an eighth of the side."""
TABLE_1 = (*(f"paper@{tap}" for tap in TAPS), "residual")
SHOWN = (*TABLE_1, "distance-from-mean")
"""In the panel, and the default method after them."""
SYNTHETIC = "synthetic_walkway"
WIDTH_OVER_HEIGHT = 238 / 158
MOST_COLUMNS = 8
"""Of the panel."""

QUICK = Settings(
    workdir="runs/ucsd_ped1",
    image_size=96,
    network="small",
    latents=32,
    likelihood="gaussian",
    epochs=30,
    batch_size=16,
    learning_rate=2e-3,
    clip_norm=5e3,
    tap="conv3",
    blur=2.0,
    methods=(*TABLE_1, "residual-smoothed", "floor"),
    **QUICK_BASELINES,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Trains a VAE on frames of people walking and localises what is anomalous."""

    preset: Literal["quick", "standard", "paper"] = "quick"
    """Settings that the other flags replace one by one. quick: the embedded set in
    minutes on two cores. standard: the real set, for a few hours on two cores. paper:
    the authors' network, for a GPU."""
    data_dir: str | None = None
    """UCSDped1, the folder UCSD_Anomaly_Dataset.v1p2 that holds it, or the one above;
    default: the embedded synthetic walkway."""
    protocol: Literal["ped1_10", "ped1_frame", "ped1_full"] = "ped1_10"
    """What is scored. ped1_10: pixels of the clips with published masks, ten of 36.
    ped1_frame: whole frames of all clips. ped1_full: pixels of all clips, with masks
    from --masks-dir, which compares with no published figure."""
    masks_dir: str | None = None
    """For ped1_full: a folder with a TestNNN_gt for every test clip."""
    cache_dir: str = "~/.cache/vae_jax"
    """Folder for the synthetic set and for data sets prepared for reading."""
    settings: Settings = QUICK
    launch: runner.Launch = dataclasses.field(default_factory=runner.Launch)

    def __post_init__(self) -> None:
        if (self.protocol == "ped1_full") != (self.masks_dir is not None):
            raise ValueError(
                "--protocol ped1_full and --masks-dir need each other: the published "
                "masks are of ten clips only."
            )

    @property
    def folder(self) -> Path:
        """`workdir`, with ~ for the home folder."""
        return self.settings.folder


PRESETS = {
    "quick": Config(),
    "standard": Config(
        preset="standard",
        settings=dataclasses.replace(
            QUICK,
            workdir="runs/ucsd_ped1-standard",
            epochs=20,
            batch_size=32,
            learning_rate=1e-3,
        ),
    ),
    # The network is what the authors sent to its reproduction (ML Reproducibility
    # Challenge 2020), whose are likelihood, batch, step size and epochs: the paper
    # states none of them. Warm-up, cosine and averaging are ours, and so is the tap
    # of what is not in Table 1.
    "paper": Config(
        preset="paper",
        settings=dataclasses.replace(
            QUICK,
            workdir="runs/ucsd_ped1-paper",
            image_size=100,
            network="ped1",
            likelihood="bernoulli",
            epochs=512,
            batch_size=32,
            learning_rate=1e-4,
            clip_norm=None,
            **PUBLISHED_BASELINES,
        ),
    ),
}

NOTES = {
    "ped1_10": """\
Protocol ped1_10: all frames of the test clips that have masks, and no other: a clip
without masks is unknown, not normal.""",
    "ped1_frame": """\
Protocol ped1_frame: all frames of all test clips, labelled by UCSDped1.m. There are no
masks of most clips, so there are no figures of pixels.""",
    "ped1_full": """\
Protocol ped1_full: masks of all clips that were not published with the set. They are
another ground truth: no published figure compares.""",
}
FRAMES_NOTE = "image AUROC is that of frames, each scored by the highest pixel."


def main(config: Config) -> list[dict[str, Any]]:
    """Trains on normal clips and evaluates; returns the rows of the table."""
    # Imported here: --help must answer at once.
    from experiments.launch import console
    from experiments.localisation import published
    from experiments.localisation import results as written
    from experiments.localisation.fit import fit
    from experiments.localisation.prepare import check, prepare
    from experiments.localisation.run import evaluate
    from vae_jax import train
    from vae_jax.data import augment

    check(config.settings)
    source = f"{config.data_dir or 'embedded synthetic walkway'}, {config.protocol}"
    papers = published.table_1_rows if config.protocol == "ped1_10" else _no_rows
    results = []
    for settings in config.settings.of_each_seed():
        data = load(config, settings)
        console.say(f"{data.category}, seed {settings.seed}")
        # The camera is fixed: a mirrored or turned frame would be of another place.
        prepared = prepare(settings, data, augment.NONE)
        network = fit(prepared)
        results.append(evaluate(prepared, network))
        if train.is_primary():
            draw_figure_5(prepared, network)
        # After each run: a failure in the next one loses nothing.
        found = written.write_results(
            results,
            folder=config.settings.folder,
            config=dataclasses.asdict(config),
            source=source,
            published=papers,
        )
    notes = [f"{NOTES[config.protocol]}\n{FRAMES_NOTE}"]
    if found.published:
        notes.append(published.TABLE_1_CAVEAT)
    written.report_results(
        results,
        found,
        config.settings,
        title="UCSD Ped1" if config.data_dir else "Synthetic walkway",
        source=source,
        notes=notes,
    )
    return found.rows


def load(config: Config, settings: Settings) -> "CategoryData":
    """The real set or the synthetic one, with a bar; says what stands in for what."""
    from experiments.launch import console
    from vae_jax.data import ucsd_ped1
    from vae_jax.data.synthetic import walkway

    cache = Path(config.cache_dir).expanduser()
    data_dir = config.data_dir
    if data_dir is None:
        console.say("the synthetic walkway is drawn unless it is there")
        data_dir = walkway.write_walkway(cache / f"walkway-{walkway.VERSION}")
    prepared = cache / "prepared"
    with console.progress_bar("reading frames") as progress:
        builder = ucsd_ped1.prepare(
            data_dir, prepared, masks_dir=config.masks_dir, progress=progress
        )
    for frame, stand_in in builder.manifest["substituted"].items():
        console.say(f"{frame} cannot be read: {stand_in} stands in for it")
    with console.progress_bar("decoding frames") as progress:
        return ucsd_ped1.load_ped1(
            data_dir,
            protocol=config.protocol,
            prepared_dir=prepared,
            size=settings.image_size,
            seed=settings.seed,
            masks_dir=config.masks_dir,
            category="ped1" if config.data_dir else SYNTHETIC,
            progress=progress,
        )


def draw_figure_5(prepared: "Prepared", network: "Fit") -> None:
    """Draws figure5.png: frames, truth, and maps of those methods that were asked for.

    Each method has one colour scale for all frames, the normal one among them.
    """
    from experiments.localisation.selection import of_the_vae
    from vae_jax import plots
    from vae_jax.data.images import to_float
    from vae_jax.detection import DEFAULT_METHOD, make_maps

    data = prepared.data
    chosen = telling_frames(data.test)
    indices = list(chosen.values())
    frames, masks = data.test.images[indices], data.test.masks[indices]
    own = of_the_vae(prepared.kinds)  # all, which the program at hand makes
    maps = make_maps(own, *network, frames)
    shown = [name for name in (*SHOWN, DEFAULT_METHOD) if name in own]
    examples = [
        plots.Comparison(
            title=title,
            image=to_float(frame),
            mask=mask,
            maps={name: values[column] for name, values in maps.items()},
        )
        for column, (title, frame, mask) in enumerate(
            zip(chosen, frames, masks, strict=True)
        )
    ]
    plots.save_comparison(
        prepared.folder / "figure5.png",
        examples,
        limits={name: plots.common_limits(maps[name]) for name in shown},
        title=f"{data.category}: maps of three convolutions, residual, mean frame",
        width_over_height=WIDTH_OVER_HEIGHT,
    )


def telling_frames(test: "TestImages") -> dict[str, int]:
    """A normal frame and one of each of the first clips: that with the median mask.

    It is chosen by the truth alone, so that it flatters no method.
    """
    areas = test.masks.sum((1, 2))
    chosen = {}
    for kind in sorted(set(test.defects), key=lambda kind: (kind != GOOD, kind)):
        own = [i for i, each in enumerate(test.defects) if each == kind]
        chosen[kind] = sorted(own, key=lambda i: areas[i])[len(own) // 2]
    return dict(list(chosen.items())[:MOST_COLUMNS])


def _no_rows(category: str) -> tuple[()]:
    """The paper says nothing of these."""
    del category
    return ()


if __name__ == "__main__":
    runner.run(main, PRESETS)
