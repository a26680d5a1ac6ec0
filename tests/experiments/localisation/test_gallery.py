import dataclasses
import json
import re
import types
from pathlib import Path

import numpy as np
import pytest

from experiments import mvtec
from experiments.localisation import gallery, page, tables
from experiments.localisation.explain import Maps
from experiments.localisation.fit import Fit
from experiments.localisation.prepare import Prepared
from experiments.localisation.score import Scores, curves_of, typical_images
from vae_jax.data.augment import NONE
from vae_jax.data.category import CategoryData, TestImages
from vae_jax.detection import DEFAULT_METHOD, Pasted

SIDE = 32
DEFECTS = ("good", "hole", "hole", "stain", "good")
KINDS = {DEFAULT_METHOD: "attention", "silhouette": "floor"}


def category(count: int, *, has_masks=True) -> CategoryData:
    rng = np.random.default_rng(0)
    masks = np.zeros((5, SIDE, SIDE), bool)
    masks[1:4, 4:12, 4:12] = has_masks
    images = rng.integers(0, 256, (5, SIDE, SIDE, 1), dtype=np.uint8)
    test = TestImages(
        images[:count],
        masks[:count],
        DEFECTS[:count],
        tuple(f"test/{i}.png" for i in range(count)),
        list(masks[:count]),
        has_masks,
    )
    return CategoryData(
        "gear", images, images[:3], test, 1, "hash", at_size=lambda size: None
    )


def maps_of(data: CategoryData) -> Maps:
    rng = np.random.default_rng(1)

    def draw(images):
        return {
            name: rng.gamma(2.0, 1.0, images.shape[:3]).astype(np.float32)
            for name in KINDS
        }

    test, normal = draw(data.test.images), draw(data.validation)
    return Maps(test, normal, {})


@pytest.fixture
def explained(monkeypatch):
    """Replaces the network's maps of latents; keeps the images they were asked of."""
    asked = []

    def latent_maps(explainer, evidence, image):
        asked.append(image)
        return np.ones((2, SIDE, SIDE), np.float32), np.array([1.0, 2.0], np.float32)

    monkeypatch.setattr(gallery, "latent_maps", latent_maps)
    return asked


def section(data, maps, **changes):
    thresholds = {"image_threshold": 8.0, "pixel_threshold": 5.0}
    explainer = types.SimpleNamespace(choice="whitened")
    nothing = Pasted(data.validation[:0], data.test.masks[:0])
    prepared = Prepared(mvtec.QUICK, data, NONE, KINDS, nothing)
    typical = typical_images(data.test, maps.test[DEFAULT_METHOD])
    scores = Scores([], [], list(KINDS), typical, curves_of(data.test, maps.test))
    return gallery.gallery(
        prepared, Fit(explainer, None), maps, scores, **thresholds | changes
    )


def test_without_a_pixel_of_a_defect_there_are_no_curves(explained):
    data = category(5)
    masks = np.zeros_like(data.test.masks)
    lost = dataclasses.replace(data, test=dataclasses.replace(data.test, masks=masks))
    assert section(data, maps_of(data)).charts
    assert not section(lost, maps_of(lost)).charts


def test_every_test_image_is_counted_and_shown_with_its_score(explained):
    data = category(5)
    maps = maps_of(data)
    found = section(data, maps)
    highest = maps.test[DEFAULT_METHOD].max((1, 2))
    is_good = np.array(DEFECTS) == "good"
    assert found.figures["normal"] == highest[is_good].tolist()
    assert found.figures["defective"] == highest[~is_good].tolist()
    shown = {picture.name: picture for picture in found.pictures}
    assert {name: p.kind for name, p in shown.items()} == dict(
        zip(data.test.paths, DEFECTS, strict=True)
    )
    assert shown["test/3.png"].score == highest[3]
    assert [chart.title for chart in found.charts] == ["ROC", "PRO up to 0.3"]


def test_one_image_of_each_kind_is_explained(explained):
    data = category(5)
    found = section(data, maps_of(data))
    with_latents = [p.kind for p in found.pictures if p.latents]
    assert sorted(with_latents) == ["good", "hole", "stain"]
    assert len(explained) == 3
    assert all(image.dtype == np.float32 for image in explained)


def test_finer_images_are_shown_and_the_network_sees_its_own(explained):
    data = category(5)
    maps = maps_of(data)
    fine = np.random.default_rng(2).integers(0, 256, (5, 64, 64, 1), dtype=np.uint8)
    coarse = section(data, maps).pictures[0].renditions[0]
    finer = section(data, maps, fine_images=fine).pictures[0].renditions[0]
    assert len(finer.image) > 2 * len(coarse.image)
    assert finer.map == coarse.map
    assert {image.shape for image in explained} == {(SIDE, SIDE, 1)}


def test_without_test_images_the_held_out_ones_are_shown(explained):
    data = category(0)
    found = section(data, maps_of(data))
    assert found.figures["normal"] == found.figures["defective"] == []
    assert len(found.pictures) == len(found.figures["heldOut"]) == 3
    assert found.charts == ()
    assert sum(bool(picture.latents) for picture in found.pictures) == 1


def test_without_masks_there_are_neither_outlines_nor_curves(explained):
    data = category(5, has_masks=False)
    found = section(data, maps_of(data))
    assert {picture.renditions[0].mask for picture in found.pictures} == {None}
    assert found.charts == ()


def row(method, kind, aupro):
    figures = dict.fromkeys(tables.AVERAGED, 0.5) | {"aupro": aupro}
    return {"category": "gear", "method": method, "kind": kind} | figures


def test_the_report_holds_facts_verdict_tables_and_caveats(explained, tmp_path):
    rows = [row(DEFAULT_METHOD, "attention", 0.75), row("silhouette", "floor", 0.625)]
    rows[0] |= {"aupro_std": 0.015625, "seeds": 2}
    published = [row("published: AE-L2", "baseline", 0.99)]
    defects = [{"category": "gear", "defect": "hole", "method": "x", "aupro": 0.1}]
    data = category(5)
    page.write_report(
        Path(tmp_path) / "report.html",
        title="Gears",
        facts={"Data": "drawn by a program"},
        settings=dataclasses.replace(mvtec.QUICK, seeds=2),
        found=tables.Tables(rows, [], defects, published),
        sections=[section(data, maps_of(data))],
        notes=["The second figure is not one metric."],
    )
    written = (tmp_path / "report.html").read_text()
    assert "drawn by a program" in written
    assert "<dt>Seeds</dt><dd>0, 1</dd>" in written
    assert "beats every floor on AUPRO@0.3: 0.750 against 0.625 (silhouette)" in written
    assert "The second figure is not one metric." in written
    assert tables.NOTES.splitlines()[0] in written
    best = re.findall(r'<td class="number best"[^>]*>([^<]*)<', written)
    assert "0.750 ± 0.016" in best
    assert "0.990" not in best  # published: another protocol
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', written)
    assert json.loads(data)["category"] == "gear"
