import csv
import dataclasses
import json
import math
import re
import shlex

import numpy as np
import pytest
from PIL import Image

from experiments import mvtec
from experiments.launch import runner
from experiments.localisation import prepare, published, show
from experiments.localisation import run as running
from experiments.localisation.tables import CHOSEN_BY, COLUMNS, MEAN, Result
from vae_jax import train
from vae_jax.data import augment, synthetic
from vae_jax.data.category import CategoryData, TestImages
from vae_jax.detection.methods import DEFAULT_METHOD

CATEGORIES = ("synthetic_gear", "synthetic_wood")
METHODS = (DEFAULT_METHOD, "paper", "residual", "silhouette")
"""One of each kind, and those that have pictures; maps of all: tests/detection."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mvtec")


@pytest.fixture(scope="module")
def config(folder):
    data = synthetic.write_synthetic(folder / "data", image_size=48, train=12, test=16)
    settings = dataclasses.replace(
        mvtec.QUICK,
        workdir=str(folder / "run"),
        image_size=32,
        width=4,
        latents=4,
        epochs=6,
        batch_size=8,
        evaluations=2,
        methods=METHODS,
    )
    return mvtec.Config(
        data_dir=str(data),
        category=CATEGORIES,
        channels=1,  # both compile to one program
        cache_dir=str(folder / "cache"),
        settings=settings,
    )


@pytest.fixture(scope="module")
def rows(config):
    return mvtec.main(config)


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("training began")

    monkeypatch.setattr(train, "fit", refuse)


def changed(config, **settings):
    return dataclasses.replace(
        config, settings=dataclasses.replace(config.settings, **settings)
    )


def results(folder):
    return json.loads((folder / "run" / "results.json").read_text())


def test_every_method_has_a_row_with_every_figure(rows, folder):
    assert results(folder)["rows"] == rows
    means = ("mean of textures", "mean of objects", MEAN)
    expected = [(c, m) for c in (*CATEGORIES, *means) for m in METHODS]
    assert [(row["category"], row["method"]) for row in rows] == expected
    assert {row["kind"] for row in rows} == {"attention", "baseline", "floor"}
    for row in rows:
        assert row.keys() == COLUMNS.keys()
        assert all(math.isfinite(row[name]) for name in list(COLUMNS)[3:])


def test_mean_is_that_of_the_categories(rows):
    gear, wood, textures, objects, mean = (
        row["aupro"] for row in rows[:: len(METHODS)]
    )
    assert mean == pytest.approx((gear + wood) / 2)
    assert (textures, objects) == (wood, gear)


def test_csv_holds_the_rows_of_the_json(rows, folder):
    with open(folder / "run" / "results.csv", newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["method"] for row in written] == [row["method"] for row in rows]
    assert float(written[0]["aupro"]) == rows[0]["aupro"]


def test_results_say_what_they_were_made_from(rows, config, folder):
    content = results(folder)
    assert content["config"]["settings"]["epochs"] == 6
    assert content["data"]["source"] == config.data_dir
    assert content["data"]["synthetic_gear"]["train_images"] == 11
    assert content["data"]["synthetic_gear"]["validation_images"] == 1
    assert {"jax", "device"} <= content["versions"].keys()
    assert {row["category"] for row in content["defects"]} == set(CATEGORIES)


@pytest.mark.parametrize(
    "name", ["panel", "panel_paper", "latents", "curves", "training"]
)
def test_every_picture_is_drawn(rows, folder, name):
    with Image.open(folder / "run" / "synthetic_gear" / f"{name}.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5


@pytest.mark.slow  # other commands have one of a run that is smaller
def test_a_finished_run_is_evaluated_again_without_training(rows, config, folder):
    log = folder / "run" / "synthetic_gear" / "metrics.jsonl"
    before = log.read_text()
    gear = dataclasses.replace(config, category=("synthetic_gear",))
    again = mvtec.main(changed(gear, resolution="native"))
    assert log.read_text() == before
    # Native pixels are others; what was chosen at the model's size is the same.
    assert again[0]["aupro"] != rows[0]["aupro"]
    assert again[0]["validation_aupro"] == rows[0]["validation_aupro"]
    assert mvtec.main(config) == rows


def test_another_configuration_in_the_same_workdir_is_refused(rows, config):
    with pytest.raises(ValueError, match=r"settings\.latents: 4 -> 5"):
        mvtec.main(changed(config, latents=5))


def test_without_augmentation_images_are_as_they_are(config, monkeypatch):
    seen = []
    monkeypatch.setattr(running, "run", lambda *args: seen.append(args[2]) or stop())

    def stop():
        raise KeyboardInterrupt

    for permitted in (True, False):
        with pytest.raises(KeyboardInterrupt):
            mvtec.main(changed(config, augment=permitted))
    assert seen[0] != seen[1]
    assert seen[1] == type(seen[1])()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--data-dir", "nowhere"], "there is no folder nowhere"),
        (["--category", "synthetic_gaer"], "did you mean 'synthetic_gear'"),
        (["--category", "synthetic_gear", "tlie"], "there is no 'tlie'"),
        (["--category"], "at least one category"),
        (["--batch-size", "12"], "multiple of the number of devices"),
        (["--tap", "conv9"], "there is no 'conv9'"),
        (["--network", "resnet18"], "from 64 to 256"),
        (["--image-size", "8"], "got a side of 8"),
        (["--cache-dir", "/proc/none"], "--cache-dir"),
        (["--workdir", "/proc/none"], "cannot write"),
        (["--methods", "anogan", "--baseline-size", "48"], "power of two"),
        (["--methods", "ae-l2", "--baseline-size", "256"], "one has 48"),
    ],
)
def test_a_mistake_is_one_line_before_training(
    config, folder, no_training, args, message
):
    presets = {"quick": changed(config, workdir=str(folder / "mistake"))}
    with pytest.raises(SystemExit) as stopped:
        runner.run(mvtec.main, presets, args)
    assert message in stopped.value.code
    assert "\n" not in stopped.value.code


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: next((c / "ground_truth").glob("*/*.png")).unlink(), "without"),
        (lambda c: next((c / "test").glob("[!g]*/*.png")).unlink(), "without"),
        (lambda c: truncate(next((c / "train/good").glob("*.png"))), "000.png"),
    ],
    ids=["defect without mask", "mask without image", "truncated"],
)
def test_bad_data_are_one_line_before_training(
    config, tmp_path, no_training, spoil, message
):
    data = synthetic.write_synthetic(tmp_path / "data", image_size=48, train=4, test=16)
    spoil(data / "synthetic_gear")
    spoilt = changed(config, workdir=str(tmp_path / "run"))
    presets = {"quick": dataclasses.replace(spoilt, cache_dir=str(tmp_path / "cache"))}
    with pytest.raises(SystemExit) as stopped:
        runner.run(mvtec.main, presets, ["--data-dir", str(data)])
    assert message in stopped.value.code
    assert "\n" not in stopped.value.code


def truncate(path):
    path.write_bytes(path.read_bytes()[:200])


def test_a_folder_of_normal_images_is_enough(config, tmp_path, capsys):
    data = synthetic.write_synthetic(
        tmp_path / "data", image_size=48, train=12, test=14
    )
    parts = (data / "synthetic_gear" / "train" / "good").rename(tmp_path / "my_parts")
    normal_only = dataclasses.replace(
        changed(config, workdir=str(tmp_path / "run")),
        data_dir=str(parts),
        category=("all",),
        cache_dir=str(tmp_path / "cache"),
    )
    rows = mvtec.main(normal_only)
    assert {row["category"] for row in rows} == {"my_parts"}
    assert all(row["pixel_auroc"] is None for row in rows)
    assert all(row["validation_aupro"] is not None for row in rows)
    assert "validation prefers" in capsys.readouterr().out
    assert (tmp_path / "run" / "my_parts" / "latents.png").exists()


@pytest.mark.slow
def test_baselines_stand_in_the_table_and_are_not_trained_twice(config, folder):
    with_baselines = dataclasses.replace(
        changed(
            config,
            methods=("ae-ssim", "anogan", "paper@relu1"),
            baseline_steps=2,
            baseline_size=32,
            baseline_batch_size=8,
            anogan_width=2,
        ),
        category=("synthetic_gear",),
    )
    rows = mvtec.main(with_baselines)
    names = [row["method"] for row in rows]
    assert names == [DEFAULT_METHOD, "ae-ssim", "anogan", "paper@relu1"]
    assert {row["kind"] for row in rows[1:3]} == {"baseline"}
    # They see larger images, on which the same defects cannot be pasted.
    assert all(
        (row[f] is None) == (row in rows[1:3]) for row in rows for f in CHOSEN_BY
    )
    assert all(math.isfinite(row["aupro"]) for row in rows)
    log = folder / "run" / "synthetic_gear" / "baselines" / "anogan" / "metrics.jsonl"
    before = log.read_text()
    assert mvtec.main(with_baselines) == rows
    assert log.read_text() == before


def test_defects_without_a_mask_are_told(config, tmp_path, capsys):
    data = synthetic.write_synthetic(tmp_path / "data", image_size=48, train=4, test=16)
    next((data / "synthetic_gear" / "ground_truth").glob("*/*.png")).unlink()
    loaded = prepare.load(
        config.settings,
        data,
        "synthetic_gear",
        prepared_dir=tmp_path / "prepared",
        missing_masks="skip",
    )
    assert len(loaded.test.images) == 16
    assert "1 defect images have no mask" in capsys.readouterr().err


def test_where_all_defects_vanish_one_line_says_so(capsys):
    images = np.zeros((2, 32, 32, 1), np.uint8)
    masks = np.zeros((2, 32, 32), bool)
    lost = TestImages(images, masks, ("good", "hole"), ("0", "1"), list(masks))
    for test, lines in ((lost, 1), (dataclasses.replace(lost, has_masks=False), 0)):
        running._say_if_defects_vanished(mvtec.QUICK, test)
        said = capsys.readouterr().err
        assert said.count("\n") == said.count("--resolution native") == lines


@pytest.mark.parametrize("preset", mvtec.PRESETS)
def test_presets_can_run(preset):
    settings = mvtec.PRESETS[preset].settings
    prepare.check(dataclasses.replace(settings, batch_size=train.data_mesh().size))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("blur", -1.0),
        ("blur", math.nan),
        ("beta", math.inf),
        ("ema_decay", 1.0),
    ],
)
def test_impossible_settings_name_their_flag(field, value):
    with pytest.raises(ValueError, match="--" + field.replace("_", "-")):
        dataclasses.replace(mvtec.QUICK, **{field: value})


def test_published_means_are_those_of_the_paper():
    cells = np.array([list(row.values()) for row in published.TABLE_2.values()])
    assert cells.shape == (15, 5, 2)
    auroc, second = cells.mean(0).T
    # In the order AE-SSIM, AE-L2, AnoGAN, CNN-FD, the paper's own.
    np.testing.assert_allclose(auroc, [0.869, 0.817, 0.743, 0.781, 0.861], atol=5e-4)
    np.testing.assert_allclose(second, [0.215, 0.327, 0.093, 0.129, 0.205], atol=5e-4)


def test_a_namesake_of_a_published_category_is_neither_compared_nor_augmented():
    def category(name, is_published):
        nothing = np.zeros((2, 32, 32, 1), np.uint8)
        test = TestImages(nothing, nothing[..., 0] > 0, (), (), [])
        return CategoryData(
            name, nothing, nothing, test, 1, "",
            at_size=NotImplemented, is_published=is_published,
        )  # fmt: skip

    def rows(data):
        result = Result(data.category, 0, [], [], show._about(data))
        return mvtec.published_of([result])(data.category)

    def augmentation(data):
        return mvtec.augmentation_of(mvtec.QUICK, data)

    screw, own = category("screw", True), category("screw", False)
    assert len(rows(screw)) == 5
    assert len(rows(own)) == 0
    assert augmentation(screw) == augment.augmentation_for("screw") != augment.NONE
    assert augmentation(own) == augment.NONE
    synthetic_gear = category("synthetic_gear", False)
    assert augmentation(synthetic_gear) != augment.NONE


def test_the_page_shows_images_that_were_decoded_on_demand():
    """Of those at another size it asks for no more than it shows."""
    images = np.zeros((2, 32, 32, 1), np.uint8)
    test = TestImages(images, images[..., 0] > 0, ("good",) * 2, ("0", "1"), [])
    asked = []
    data = CategoryData("c", images, images, test, 1, "", at_size=NotImplemented)
    data = dataclasses.replace(
        data, at_size_on_demand=lambda size: asked.append(size) or data
    )
    assert show._fine_images(data) is images
    assert asked == [show.REPORT_SIZE]


@pytest.mark.parametrize("document", ["README.md", "docs/pods.md"])
def test_commands_in_the_documents_parse(document, pytestconfig):
    text = (pytestconfig.rootpath / document).read_text()
    blocks = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    commands = blocks.replace("\\\n", " ").splitlines()
    lines = [part for part in commands if "-m experiments.mvtec" in part]
    assert lines
    for line in lines:
        words = shlex.split(line.split("-m experiments.mvtec", 1)[1].rstrip('"'))
        if "--help" not in words:
            runner.parse(mvtec.PRESETS, words)
