"""A localisation experiment from data to table: what all of them share."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from experiments import baselines, tables
from experiments.choice import choose
from experiments.comparison import compare, select, taps_of
from experiments.console import progress_bar, say
from experiments.deployment import deploy, describe
from experiments.evaluation import score_choice, score_defects, score_methods
from experiments.explainer import Explainer, Fitted, HostImages, fit_normals
from experiments.gallery import gallery, write_report
from experiments.methods import DEFAULT_METHOD
from experiments.pictures import draw_all
from experiments.settings import Settings
from experiments.tables import Result, Tables
from experiments.training import build_explainer, train_vae
from vae_jax import attention, models, report, train
from vae_jax.data.augment import Augmentation
from vae_jax.data.category import CategoryData, TestImages, load_category
from vae_jax.spelling import did_you_mean

REPORT_SIZE = 192
"""Side in pixels of the images of the report, where the model's is smaller."""


def check(settings: Settings) -> None:
    """Raises ValueError or OSError for what would fail only after training."""
    train.check_batch_size(settings.batch_size, train.data_mesh())
    model = build_explainer(settings, channels=1).model
    variables = jax.eval_shape(
        functools.partial(models.init, model), key=jax.random.key(0)
    )
    baselines.check_weights(settings, select(settings))
    known = attention.taps(model, variables, model.image_shape)
    maps = [name for name, shape in known.items() if len(shape) == 3]
    for tap in taps_of(settings):
        if tap not in maps:
            raise ValueError(
                f"--tap: there is no {tap!r}{did_you_mean(tap, maps)} Taps of this "
                f"network: {', '.join(maps)}."
            )


def load(
    settings: Settings, data_dir: str | Path, name: str, **options: Any
) -> CategoryData:
    """`load_category` with a bar; `options` are its other arguments."""
    with progress_bar(f"{name}: reading images") as progress:
        data = load_category(
            data_dir,
            name,
            size=settings.image_size,
            seed=settings.seed,
            progress=progress,
            **options,
        )
    if data.skipped_images:
        say(f"{name}: {data.skipped_images} test images left out, for want of a mask")
    if data.bits < 16:
        say(f"{name}: of 16 bits a value {data.bits} are in use, and are read so")
    return data


class Fit(NamedTuple):
    """A trained network, ready to explain."""

    explainer: Explainer
    fitted: Fitted


def fit(settings: Settings, data: CategoryData, augmentation: Augmentation) -> Fit:
    """Trains on the normal images of one category, or resumes, and chooses a map.

    Raises:
        ValueError: A baseline of the settings could not be trained after that.
    """
    baselines.check(settings, data, select(settings))
    explainer = build_explainer(settings, channels=data.channels)
    variables = train_vae(settings, explainer, data, augmentation)
    fitted = fit_normals(explainer, variables, data.train)
    chosen = choose(explainer, fitted, data.validation, seed=settings.seed)
    say(f"{data.category}: artificial defects prefer {chosen.choice}")
    return Fit(chosen, fitted)


def run(settings: Settings, data: CategoryData, augmentation: Augmentation) -> Result:
    """Trains on the normal images of one category, or resumes, and evaluates."""
    return evaluate(settings, data, augmentation, fit(settings, data, augmentation))


def evaluate(
    settings: Settings, data: CategoryData, augmentation: Augmentation, network: Fit
) -> Result:
    """Makes all maps, scores them as far as there are labels, draws the pictures."""
    kinds = select(settings)
    say(f"{data.category}: making the maps of {len(kinds)} methods")
    compared = compare(settings, data, augmentation, *network)
    say(f"{data.category}: scoring them at {settings.resolution} resolution")
    native = settings.resolution == "native"
    _say_if_defects_vanished(settings, data.test)
    found = score_methods(data.test, compared.test, compared.normal, native=native)
    choice = score_choice(compared.pasted, compared.pasted_masks)
    rows = [
        {"category": data.category, "method": name, "kind": kind}
        | found[name]
        | choice.get(name, dict.fromkeys(tables.CHOSEN_BY))
        for name, kind in kinds.items()
    ]
    of_interest = [DEFAULT_METHOD, *(["paper"] if "paper" in kinds else [])]
    of_interest += [*tables.best(rows, "baseline"), *tables.best(rows, "floor")]
    defects = [
        {"category": data.category, **row}
        for row in score_defects(of_interest, compared.test, data.test)
    ]
    about = {"chosen": network.explainer.choice, **_about(data)}
    result = Result(data.category, settings.seed, rows, defects, about)
    if not train.is_primary():
        return result
    folder = settings.folder / data.category
    draw_all(folder, *network, data, compared)
    detector = deploy(folder, settings, data, *network, compared.normal[DEFAULT_METHOD])
    say(f"{data.category}: {describe(detector)}")
    section = gallery(
        *network,
        data,
        compared,
        curves=of_interest,
        image_threshold=detector["image_threshold"],
        pixel_threshold=detector["pixel_threshold"],
        fine_images=_fine_images(data),
    )
    return result._replace(detector=detector, section=section)


def _say_if_defects_vanished(settings: Settings, test: TestImages) -> None:
    if test.has_masks and test.has_both_classes and not test.can_score_pixels:
        say(
            f"no defect is left in the masks at {settings.image_size} pixels, so there "
            "are no figures of pixels at that size: give a larger --image-size, or "
            "--resolution native to compare at the published one"
        )


def _fine_images(data: CategoryData) -> HostImages:
    """The images of the report, large enough to look at if they were to begin with."""
    try:
        resized = data.at_size_on_demand or data.at_size
        fine = resized(max(REPORT_SIZE, len(data.validation[0])))
    except ValueError:  # too small to enlarge so much
        fine = data
    return fine.test.images if len(fine.test.images) else fine.validation


def _about(data: CategoryData) -> tables.Row:
    return {
        "sha256": data.sha256,
        "is_texture": data.is_texture,
        "is_published": data.is_published,
        "train_images": len(data.train),
        "validation_images": len(data.validation),
        "test_images": len(data.test.images),
        "left_out_for_want_of_a_mask": data.skipped_images,
    }


def write_results(
    results: Sequence[Result],
    *,
    folder: Path,
    config: Mapping[str, Any],
    source: str,
    published: tables.Published = lambda category: (),
) -> Tables:
    """Writes results.json and results.csv of the runs so far."""
    found = tables.summarise(results, published=published)
    if train.is_primary():
        content = {
            "rows": found.rows,
            "runs": found.runs,
            "defects": found.defects,
            "published": found.published,
            "config": config,
            "data": {"source": source} | {r.category: r.about for r in results},
            "detectors": [
                {"category": r.category, "seed": r.seed, **r.detector}
                for r in results
                if r.detector is not None
            ],
            "versions": report.versions(),
        }
        report.write_json(folder / "results.json", content)
        report.write_csv(folder / "results.csv", found.rows)
    return found


def report_results(
    results: Sequence[Result],
    found: Tables,
    settings: Settings,
    *,
    title: str,
    source: str,
    notes: Sequence[str] = (),
) -> None:
    """Prints the tables and what they say, and writes them as report.html."""
    write_page(results, found, settings, title=title, source=source, notes=notes)
    print_results(found, settings, source=source, notes=notes)


def write_page(
    results: Sequence[Result],
    found: Tables,
    settings: Settings,
    *,
    title: str,
    source: str,
    notes: Sequence[str] = (),
) -> None:
    """Writes report.html, from the first process alone.

    Of several seeds the page shows the first's images.
    """
    if not train.is_primary():
        return
    write_report(
        settings.folder / "report.html",
        title=title,
        facts={"Data": source},
        settings=settings,
        found=found,
        sections=[
            result.section
            for result in results
            if result.section is not None and result.seed == settings.seed
        ],
        notes=notes,
    )


def print_results(
    found: Tables, settings: Settings, *, source: str, notes: Sequence[str] = ()
) -> None:
    """Prints the tables and what they say, from the first process alone."""
    if not train.is_primary():
        return
    parts = [f"\nData: {source}"]
    if found.defects:
        parts += [
            "By kind of defect, at the model's resolution:",
            tables.show(found.defects, tables.DEFECT_COLUMNS),
        ]
    parts += [
        f"All test images, at {settings.resolution} resolution:",
        tables.show([*found.rows, *found.published], tables.COLUMNS),
        tables.NOTES,
        *notes,
        tables.verdict(found.rows),
        f"In {settings.folder}: report.html to look at, results.json, results.csv and, "
        "by category, pictures and detector.zip for experiments.predict.",
    ]
    print(*parts, sep="\n\n")
