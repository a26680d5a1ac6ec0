"""The page as a reader uses it, in a real browser without a network."""

import dataclasses
import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from vae_jax.anomaly import ColourLimits
from vae_jax.report import html

pytestmark = pytest.mark.browser

SHAPE = (24, 32)
LIMITS = ColourLimits(0.5, 6.0)
NORMAL_MAPS = np.random.default_rng(1).gamma(2.0, 0.5, (7, *SHAPE)).astype(np.float32)
NORMAL_SCORES = NORMAL_MAPS.max((1, 2)).astype(np.float64)
KEYS = {"ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40, "Escape": 27, "End": 35}
CALIBRATED = 5.5
READBACK = "Multiple readback operations"
"""A hint about what these tests do, and the page never: reading a canvas."""
IMAGE_SLIDER, PIXEL_SLIDER = ".image input", ".workbench .pixel input"


@pytest.fixture(scope="module")
def items(make_items):
    items = make_items(SHAPE, good=5, scratch=6, hole=4)
    latents = np.random.default_rng(2).random((6, *SHAPE)).astype(np.float32)
    kl = np.array([0.1, 5.0, 0.3, 2.0, 0.2, 9.0], np.float32)
    items[7] = dataclasses.replace(items[7], latent_maps=latents, latent_kl=kl)
    items[8] = dataclasses.replace(items[8], name="<script>alert(1)</script>")
    return items


@pytest.fixture(scope="module")
def section(items):
    return make_section("screw", items)


def make_section(category, items, **changes) -> html.Section:
    x = np.linspace(0, 1, 50)
    methods = [("ours", "attention"), ("residual", "baseline"), ("flat", "floor")]
    lines = [html.Line(name, k, x, x ** (i / 3)) for i, (name, k) in enumerate(methods)]
    settings = {
        "method": "ours",
        "normal_maps": NORMAL_MAPS,
        "normal_scores": NORMAL_SCORES,
        "image_threshold": CALIBRATED,
        "pixel_threshold": 3.25,
        "limits": LIMITS,
        "charts": [html.Chart("ROC", "false", "true", 1.0, tuple(lines))],
    }
    return html.make_section(category, items, **settings | changes)


ROWS = [
    {"category": "a", "method": "ours", "kind": "attention", "aupro": 0.5, "iou": 0.1},
    {"category": "a", "method": "flat", "kind": "floor", "aupro": 0.0625, "iou": None},
    {"category": "b", "method": "ours", "kind": "attention", "aupro": 0.25, "iou": 0.3},
]
TABLE = html.Table("All", ROWS, {key: key for key in ROWS[0]}, highest=("aupro", "iou"))


def write(path: Path, *sections: html.Section) -> Path:
    html.write_html(
        path,
        title="A run",
        facts={"Data": "drawn by a program", "Device": "1 x cpu"},
        verdicts=["ours beats every floor on AUPRO: 0.5 against 0.0625 (flat)."],
        tables=[TABLE],
        sections=sections,
        notes=["All maps are raw."],
    )
    return path


@pytest.fixture(scope="module")
def report(section, tmp_path_factory):
    return write(Path(tmp_path_factory.mktemp("report")) / "report.html", section)


@pytest.fixture
def visit(open_page):
    """Opens a page; in the end there must be no error, and no request to anywhere."""
    opened = []

    def visit(path, **settings):
        opened.append(open_page(path, **settings))
        return opened[-1]

    yield visit
    for page in opened:
        assert [t for t in page.troubles() if READBACK not in t] == []
        assert {address.partition(":")[0] for address in page.requests()} <= {
            "file",
            "data",
        }
        page.close()


def texts(page, selector: str) -> list[str]:
    script = "[...document.querySelectorAll({!r})].map(e => e.textContent.trim())"
    return page.run(script.format(selector))


def open_viewer(page, name: str) -> None:
    page.run(
        "[...document.querySelectorAll('.tile')]"
        f".find(t => t.querySelector('.name').textContent === {name!r}).click()"
    )
    wait_for_picture(page, name)


def wait_for_picture(page, name: str) -> None:
    page.wait_for(
        f"document.querySelector('.viewer .name').textContent === {name!r}"
        " && document.querySelector('.stage').ariaBusy === 'false'"
    )


def canvas(page, selector: str) -> np.ndarray:
    """The pixels of a canvas, [height width 4]."""
    height, width, values = page.run(
        f"(() => {{ const c = document.querySelector({selector!r});"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "return [c.height, c.width, [...d]]; })()"
    )
    return np.array(values, np.uint8).reshape(height, width, 4)


def colour_count(pixels: np.ndarray, colour: tuple[int, int, int]) -> int:
    """Pixels close to a colour."""
    near = np.abs(pixels[..., :3].astype(int) - colour).max(-1) < 40
    return int((near & (pixels[..., 3] > 200)).sum())


TRUTH, FLAGGED = (34, 211, 238), (255, 225, 74)


@pytest.mark.parametrize("stop", [0, 100, 250, 400, 500, None])
def test_counts_follow_the_image_threshold(visit, report, section, items, stop):
    page = visit(report)
    threshold = CALIBRATED
    if stop is not None:
        page.slide(IMAGE_SLIDER, stop)
        threshold = section.figures["stops"][stop]
    scores = np.array([item.score for item in items])
    is_normal = np.array([item.kind == "good" for item in items])
    flagged = scores >= threshold
    want = [
        np.sum(is_normal & ~flagged),
        np.sum(is_normal & flagged),
        np.sum(~is_normal & ~flagged),
        np.sum(~is_normal & flagged),
    ]
    assert list(map(int, texts(page, ".counts td"))) == want
    held_out = (threshold <= NORMAL_SCORES).sum()
    assert f": {held_out} of 7" in texts(page, ".held-out-rate")[0]
    outcomes = dict(
        zip(texts(page, ".tile .name"), texts(page, ".tile .outcome"), strict=True)
    )
    for item, hit in zip(items, flagged, strict=True):
        names = (
            ("passed", "false alarm") if item.kind == "good" else ("missed", "flagged")
        )
        assert outcomes[item.name] == names[int(hit)]


@pytest.mark.parametrize("stop", [1, 60, 150, None, 255])
def test_masks_follow_the_pixel_threshold(visit, report, section, items, stop):
    page = visit(report)
    levels = np.array(section.figures["levels"], np.float32)
    item = items[6]
    open_viewer(page, item.name)
    threshold = np.float32(3.25)
    if stop is not None:
        page.slide(PIXEL_SLIDER, stop)
        threshold = levels[stop - 1]
    want = item.map >= threshold
    np.testing.assert_array_equal(canvas(page, ".viewer .mask")[..., 3] > 0, want)
    text = texts(page, ".flagged-share")[0]
    assert f"Flagged: {want.sum()} of {want.size} pixels" in text
    found = 100 * want[item.mask].mean()
    shown = float(re.search(r"of the true defect (?:< )?([\d.]+) %", text)[1])
    assert shown == pytest.approx(found, rel=0.05, abs=0.01)


def test_the_last_stop_flags_no_pixel(visit, report, section):
    page = visit(report)
    last = len(section.figures["levels"]) + 1
    page.slide(PIXEL_SLIDER, last)
    assert texts(page, ".workbench .pixel .reading") == ["none reaches it"]
    assert texts(page, ".rates td") == ["0 %", "0 %", "0 %"]


def test_shares_of_pixels_follow_the_pixel_threshold(visit, report, section, items):
    page = visit(report)
    page.slide(PIXEL_SLIDER, 40)
    level = np.float32(section.figures["levels"][39])
    maps, masks = (np.stack([getattr(i, n) for i in items]) for n in ("map", "mask"))
    want = [100 * (v >= level).mean() for v in (NORMAL_MAPS, maps[~masks], maps[masks])]
    shown = [float(text.split()[0]) for text in texts(page, ".rates td")]
    np.testing.assert_allclose(shown, want, rtol=0.05)


def test_the_slider_of_the_viewer_moves_that_of_the_category(visit, report, items):
    page = visit(report)
    open_viewer(page, items[6].name)
    page.slide(".viewer .pixel input", 200)
    assert page.run(f"document.querySelector('{PIXEL_SLIDER}').value") == "200"
    readings = texts(page, ".pixel .reading")
    assert readings[0] == readings[1]


def test_tiles_show_truth_and_flagged_regions_and_both_can_be_hidden(visit, report):
    page = visit(report)
    first = ".tiles li:first-child"  # the highest score: a defect, and flagged
    page.show(first)
    page.wait_for(f"document.querySelector('{first} .map').width > 0")

    def drawn(colour):
        return colour_count(canvas(page, f"{first} .photo canvas"), colour)

    assert drawn(TRUTH) > 10
    assert drawn(FLAGGED) > 10
    for what, colour in (("truth", TRUTH), ("flagged", FLAGGED)):
        page.click(f".workbench [data-shows={what}]")
        page.draw()
        assert drawn(colour) == 0


def test_the_blend_goes_from_the_image_to_the_map(visit, report, items):
    page = visit(report)
    item = items[6]
    open_viewer(page, item.name)
    alpha = {}
    for blend in (0, 25, 50, 100):
        page.slide(".blend input", blend)
        alpha[blend] = canvas(page, ".viewer .heat")[..., 3].astype(int)
    assert (alpha[0] == 0).all()
    assert (alpha[100] == 255).all()
    order = np.argsort(item.map, axis=None)
    assert (np.diff(alpha[50].ravel()[order]) >= 0).all()
    strength = np.clip((item.map - LIMITS.low) / (LIMITS.high - LIMITS.low), 0, 1)
    np.testing.assert_allclose(alpha[50], 255 * 0.85 * strength**0.75, atol=12)
    np.testing.assert_allclose(alpha[25], alpha[50] / 2, atol=1)


def test_maps_have_the_colours_of_the_figures(visit, report, items):
    page = visit(report)
    open_viewer(page, items[6].name)
    page.slide(".blend input", 100)
    share = (items[6].map - LIMITS.low) / (LIMITS.high - LIMITS.low)
    want = matplotlib.colormaps["magma"](share, bytes=True)[..., :3].astype(int)
    drawn = canvas(page, ".viewer .heat")[..., :3].astype(int)
    assert np.abs(drawn - want).max() <= 8


def test_tiles_are_sorted_and_filtered(visit, report, items):
    page = visit(report)

    def sort(value):
        page.choose(".sort select", value)
        return texts(page, ".tiles li:not([hidden]) .name")

    by_score = [i.name for i in sorted(items, key=lambda i: i.score)]
    assert sort("score-up") == by_score
    assert sort("score-down") == by_score[::-1]
    kinds = {item.name: item.kind for item in items}
    assert [kinds[n] for n in sort("kind")] == sorted(kinds.values())
    assert sort("name")[1:] == sorted(set(kinds) - {items[8].name})
    page.click(".kinds input[value=hole]")
    shown = texts(page, ".tiles li:not([hidden]) .name")
    assert {kinds[name] for name in shown} == {"good", "scratch"}
    assert texts(page, ".shown") == ["11 of 15 images"]


def test_the_table_sorts_by_a_click_and_filters_by_category(visit, report):
    page = visit(report)
    column = ".table tbody tr:not([hidden]) td:nth-child({})"
    page.click(".table th:nth-child(4) button")
    assert texts(page, column.format(4)) == ["0.500", "0.250", "0.062"]
    page.click(".table th:nth-child(4) button")
    assert texts(page, column.format(4)) == ["0.062", "0.250", "0.500"]
    for _ in range(2):
        page.click(".table th:nth-child(5) button")
        assert texts(page, column.format(5))[-1] == "-"  # missing stays last
    assert (
        page.run("document.querySelector('.table th:nth-child(5)').ariaSort")
        == "ascending"
    )
    page.choose(".table select", "b")
    assert texts(page, column.format(1)) == ["b"]


def test_everything_works_with_the_keyboard(visit, report, items):
    page = visit(report)

    def press(key):
        page.press(key, KEYS[key])

    def focused(selector):
        return page.run(f"document.activeElement.matches({selector!r})")

    names = texts(page, ".tiles .name")
    page.run(f"document.querySelector('{IMAGE_SLIDER}').focus()")
    before = page.run(f"document.querySelector('{IMAGE_SLIDER}').valueAsNumber")
    press("ArrowRight")
    after = page.run(f"document.querySelector('{IMAGE_SLIDER}').valueAsNumber")
    assert after == before + 1

    page.run("document.querySelector('.tile').focus()")
    press("ArrowRight")
    assert focused(".tiles li:nth-child(2) .tile")
    press("ArrowDown")
    row = page.run("document.activeElement.closest('li').offsetTop")
    assert row > page.run("document.querySelector('.tiles li').offsetTop")
    press("End")
    assert focused(".tiles li:last-child .tile")
    press("ArrowLeft")
    page.press("Enter", 13, "\r")
    page.wait_for("document.querySelector('.viewer').open")
    wait_for_picture(page, names[-2])
    press("ArrowLeft")
    wait_for_picture(page, names[-3])

    page.run("document.querySelector('.blend input').focus()")
    press("ArrowRight")  # moves the slider, not on to the next image
    assert texts(page, ".viewer .name") == [names[-3]]
    assert page.run("document.querySelector('.blend input').value") == "51"
    press("Escape")
    page.wait_for(
        f"document.querySelector('.tile:focus .name')?.textContent === {names[-3]!r}"
    )


def test_the_focus_is_visible(visit, report):
    page = visit(report)
    page.press("Tab", 9)
    for _ in range(12):
        page.press("Tab", 9)
        style = "getComputedStyle(document.activeElement)"
        assert page.run(f"{style}.outlineStyle") in ("solid", "auto")


def test_every_control_has_a_name(visit, report, items):
    page = visit(report)
    open_viewer(page, items[7].name)
    tree = page.send("Accessibility.getFullAXTree")["nodes"]
    controls = [
        node
        for node in tree
        if node.get("role", {}).get("value")
        in ("button", "slider", "checkbox", "combobox", "dialog", "img", "image")
    ]
    assert len(controls) > 10
    assert [n for n in controls if not n.get("name", {}).get("value")] == []


def test_latent_maps_are_ranked_by_kl_and_shown_large(visit, report, items):
    page = visit(report)
    open_viewer(page, items[6].name)
    assert texts(page, ".strip button") == []
    assert "Kept for 1 of the images" in texts(page, ".latents .hint")[0]
    page.press("Escape", KEYS["Escape"])
    open_viewer(page, items[7].name)
    assert texts(page, ".strip button") == [
        "z5: 9.0", "z1: 5.0", "z3: 2.0", "z2: 0.3", "z4: 0.2", "z0: 0.1"
    ]  # fmt: skip
    page.slide(".blend input", 100)
    before = canvas(page, ".viewer .heat")
    drawn = "document.querySelector('.viewer .heat').toDataURL()"
    address = page.run(drawn)
    page.click(".strip button:nth-child(2)")
    page.wait_for(f"{drawn} !== {address!r}")
    shown = canvas(page, ".viewer .heat")
    assert np.abs(shown.astype(int) - before).max() > 50
    latents = items[7].latent_maps
    want = matplotlib.colormaps["magma"](latents[1] / latents.max(), bytes=True)
    assert np.abs(shown[..., :3].astype(int) - want[..., :3]).max() <= 8
    page.click(".strip button:nth-child(2)")
    np.testing.assert_array_equal(canvas(page, ".viewer .heat"), before)


def test_a_name_that_is_markup_is_only_a_name(visit, report, items):
    page = visit(report)
    open_viewer(page, items[8].name)
    assert texts(page, ".viewer .name") == ["<script>alert(1)</script>"]


@pytest.mark.parametrize("width", [320, 390, 820])
def test_nothing_overflows_a_narrow_screen(visit, report, items, width):
    page = visit(report, width=width, height=800, mobile=True, scale=2)
    assert page.run("document.documentElement.scrollWidth") == width
    page.tap(".tile")
    page.wait_for("document.querySelector('.viewer').open")
    box = "document.querySelector('.viewer')"
    assert page.run(f"{box}.scrollWidth <= {box}.clientWidth")
    assert page.run(f"{box}.getBoundingClientRect().right <= {width}")


def luminance(colour: str) -> float:
    """Of WCAG 2: relative luminance of an sRGB colour given as rgb(r, g, b)."""
    values = np.array(re.findall(r"\d+", colour)[:3], float) / 255
    linear = np.where(
        values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4
    )
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_schemes(visit, report, scheme):
    page = visit(report, scheme=scheme)
    style = "getComputedStyle(document.querySelector({!r})).{}"
    paper = luminance(page.run(style.format("body", "backgroundColor")))
    assert (paper > 0.5) == (scheme == "light")
    for selector in (
        "body",
        ".facts dt",
        ".best",
        ".reading",
        ".chart text",
        ".method",
    ):
        name = "fill" if "text" in selector else "color"
        ink = luminance(page.run(style.format(selector, name)))
        lighter, darker = max(ink, paper), min(ink, paper)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5  # WCAG 2 AA


def test_without_scripts_tables_and_curves_are_read(visit, report):
    page = visit(report, with_script=False)
    document = page.send("DOM.getDocument", depth=-1)["root"]["nodeId"]

    def is_seen(selector):
        node = page.send("DOM.querySelector", nodeId=document, selector=selector)
        try:
            page.send("DOM.getBoxModel", nodeId=node["nodeId"])
        except AssertionError:  # it has no box
            return False
        return True

    assert all(map(is_seen, (".table td", ".chart .line", ".verdicts", "noscript p")))
    assert not any(map(is_seen, (".workbench", ".chooser", ".viewer")))


def test_one_category_is_shown_at_a_time(visit, section, items, tmp_path):
    other = make_section("carpet", items[:3], image_threshold=np.inf)
    path = write(Path(tmp_path) / "two.html", section, other)
    page = visit(path)
    assert texts(page, ".category:not([hidden]) h2") == ["screw"]
    assert page.run("document.querySelectorAll('.tile').length") == len(items)
    page.choose(".chooser select", "1")
    shown = ".category:not([hidden])"
    assert texts(page, f"{shown} h2") == ["carpet"]
    assert page.run(f"document.querySelectorAll('{shown} .tile').length") == 3
    assert texts(page, f"{shown} .image .reading") == ["none reaches it"]
    assert texts(page, f"{shown} .counts td") == ["3", "0"]


def test_a_set_without_defects_counts_held_out_images_alone(
    visit, make_items, tmp_path
):
    items = make_items(SHAPE, good=4)
    good = make_section("parts", items, are_held_out=True, charts=[])
    page = visit(write(Path(tmp_path) / "good.html", good))
    assert texts(page, ".counts td") == []
    flagged = (NORMAL_SCORES >= CALIBRATED).sum()
    assert f": {flagged} of 7" in texts(page, ".held-out-rate")[0]
    assert len(texts(page, ".rates td")) == 1
    assert len(texts(page, ".tile .outcome")) == 4
    for absent in (".key .normal", ".key .defective", ".scale"):
        box = f"document.querySelector('{absent}').getBoundingClientRect()"
        assert page.run(f"{box}.width") == 0


def test_without_masks_there_is_no_truth_to_show_or_hide(visit, items, tmp_path):
    unmasked = [dataclasses.replace(item, mask=None) for item in items]
    page = visit(write(Path(tmp_path) / "page.html", make_section("a", unmasked)))
    open_viewer(page, items[6].name)
    for box in (".workbench [data-shows={}]", ".viewer [data-shows={}]"):
        for what, is_there in (("truth", False), ("flagged", True)):
            selector = box.format(what)
            script = f"document.querySelector('{selector}').checkVisibility()"
            assert page.run(script) == is_there
    assert "of the true defect" not in texts(page, ".flagged-share")[0]


def test_the_ends_of_both_scales_are_told(visit, report, section, items, tmp_path):
    def ends(page):
        return [float(t) for t in texts(page, ".low") + texts(page, ".high")]

    figures = section.figures
    scales = figures["stops"], figures["levels"]
    want = [values[end] for end in (0, -1) for values in scales]
    np.testing.assert_allclose(ends(visit(report)), want, rtol=1e-3)

    wide = [dataclasses.replace(i, score=100.0 ** (i.score / 3)) for i in items]
    page = visit(write(Path(tmp_path) / "log.html", make_section("a", wide)))
    assert texts(page, ".scale") == ["logarithmic"]
    assert ends(page)[0] > 0
