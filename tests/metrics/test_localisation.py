"""Facts about the localisation figures, and slow twins that follow definitions."""

import functools
import inspect
import json
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
)

from vae_jax import metrics

random_sets = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 2**32 - 1)
levels = st.sampled_from([2, 3, 7, 10_000])  # few levels: nearly every score is tied


def random_set(seed, levels, images=3):
    """Maps of different sizes, with ties, and masks with several regions."""
    generator = np.random.default_rng(seed)
    maps, masks = [], []
    for _ in range(images):
        shape = tuple(generator.integers(4, 9, 2))
        mask = generator.random(shape) < 0.25
        score = generator.integers(0, levels, shape) + mask * generator.integers(levels)
        maps.append((score / levels).astype(np.float32))
        masks.append(mask)
    masks[0][0, 0], masks[0][-1, -1] = True, False
    return maps, masks


def flat(images):
    return np.concatenate([np.ravel(image) for image in images])


def regions_of(mask):
    """Flood fill over the eight neighbours, written without scipy."""
    left = {tuple(pixel) for pixel in np.argwhere(mask)}
    while left:
        region, front = set(), {left.pop()}
        while front:
            row, column = front.pop()
            region.add((row, column))
            near = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)}
            front |= near & left
            left -= near
        yield region


def brute_pro(maps, masks):
    """(false positive rate, mean region overlap) at every distinct score."""
    xs, ys = [0.0], [0.0]
    background = ~flat(masks)
    for threshold in np.unique(flat(maps))[::-1]:
        overlaps = [
            np.mean([score[pixel] >= threshold for pixel in region])
            for score, mask in zip(maps, masks, strict=True)
            for region in regions_of(mask)
        ]
        xs.append(np.mean(flat(maps)[background] >= threshold))
        ys.append(np.mean(overlaps))
    return np.array(xs), np.array(ys)


def brute_aupro(maps, masks, limit):
    """Trapezia below the limit, in many small steps so that none straddles it."""
    area = 0.0
    xs, ys = brute_pro(maps, masks)
    for x0, x1, y0, y1 in zip(xs, xs[1:], ys, ys[1:], strict=False):
        if x0 < limit and x1 > x0:
            end = min(x1, limit)
            y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
            area += (end - x0) * (y0 + y_end) / 2
    return area / limit


@random_sets
@given(seed=seeds, levels=levels)
def test_figures_equal_scikit_learn_whatever_the_ties(seed, levels):
    maps, masks = random_set(seed, levels)
    figures = metrics.localisation_figures(maps, masks)
    truth, scores = flat(masks), flat(maps)
    assert figures.pixel_auroc == pytest.approx(roc_auc_score(truth, scores))
    assert figures.average_precision == pytest.approx(
        average_precision_score(truth, scores)
    )
    precision, recall, _ = precision_recall_curve(truth, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-30)
    assert figures.best_f1 == pytest.approx(f1.max())


@random_sets
@given(seed=seeds, levels=levels)
def test_best_iou_is_the_best_of_all_thresholds_and_reached_at_its_own(seed, levels):
    maps, masks = random_set(seed, levels)
    truth, scores = flat(masks), flat(maps)

    def iou(threshold):
        predicted = scores >= threshold
        return (predicted & truth).sum() / (predicted | truth).sum()

    best = metrics.best_iou(maps, masks)
    assert best.iou == pytest.approx(max(map(iou, np.unique(scores))))
    assert iou(np.float32(best.threshold)) == pytest.approx(best.iou)
    assert best.iou == pytest.approx(best.f1 / (2 - best.f1))


@random_sets
@given(seed=seeds, levels=levels, limit=st.sampled_from([0.05, 0.3, 0.5, 1.0]))
def test_aupro_equals_a_loop_over_thresholds_and_regions(seed, levels, limit):
    maps, masks = random_set(seed, levels)
    np.testing.assert_allclose(
        metrics.aupro(maps, masks, limit=limit),
        brute_aupro(maps, masks, limit),
        rtol=1e-12,
    )


def brute_aupro_by_steps(maps, masks, limit):
    """The overlap above each normal pixel, from the highest on, for its 1 / normals."""
    truth, scores = flat(masks), flat(maps)
    normal = np.sort(scores[~truth])[::-1]
    overlaps = [
        np.mean(
            [
                np.mean([score[pixel] > threshold for pixel in region])
                for score, mask in zip(maps, masks, strict=True)
                for region in regions_of(mask)
            ]
        )
        for threshold in normal
    ]
    widths = np.clip(limit * len(normal) - np.arange(len(normal)), 0, 1)
    return (widths * overlaps).sum() / (limit * len(normal))


@random_sets
@given(seed=seeds, levels=levels, limit=st.sampled_from([0.05, 0.3, 1.0]))
def test_aupro_by_steps_puts_the_normal_pixels_of_a_tie_first(seed, levels, limit):
    maps, masks = random_set(seed, levels, images=2)
    found = metrics.aupro(maps, masks, limit=limit, ties="step")
    np.testing.assert_allclose(
        found, brute_aupro_by_steps(maps, masks, limit), rtol=1e-9, atol=1e-12
    )
    figures = metrics.localisation_figures(maps, masks, limit=limit, ties="step")
    assert figures.aupro == found <= metrics.aupro(maps, masks, limit=limit) + 1e-12


@pytest.mark.parametrize(("ties", "area"), [("line", 0.15), ("step", 0.0)])
def test_constant_maps_get_credit_by_the_rule_for_ties(ties, area):
    mask = np.zeros((1, 9, 9), bool)
    mask[0, 2:4, 2:5] = True
    found = metrics.aupro(np.ones((1, 9, 9), np.float32), mask, ties=ties)
    assert found == pytest.approx(area, abs=1e-12)


@pytest.mark.parametrize("function", [metrics.aupro, metrics.localisation_figures])
def test_an_unknown_rule_for_ties_is_refused(function):
    name = function.__name__
    with pytest.raises(ValueError, match=f"{name}: ties .* line, step, got 'half'"):
        inspect.unwrap(function)([HAND_MAP], [HAND_MASK], ties="half")


@random_sets
@given(seed=seeds, levels=levels)
def test_curves_keep_vertices_of_the_full_curve_and_their_area(seed, levels):
    maps, masks = random_set(seed, levels)
    roc = metrics.roc_curve(maps, masks, points=10_000)
    pro = metrics.pro_curve(maps, masks, points=10_000)
    area = np.trapezoid(roc.rate, roc.false_positive_rate)
    # Thinning may drop the corner between two steps shorter than 2 / points.
    assert area == pytest.approx(metrics.pixel_auroc(maps, masks), abs=2e-4)
    area = np.trapezoid(pro.rate, pro.false_positive_rate)
    assert area == pytest.approx(metrics.aupro(maps, masks, limit=1.0), abs=2e-4)
    for curve in (roc, pro):
        assert (curve.false_positive_rate[0], curve.rate[0]) == (0, 0)
        assert (curve.false_positive_rate[-1], curve.rate[-1]) == (1, 1)
        assert (np.diff(curve.false_positive_rate) >= 0).all()


def test_curves_are_thinned_to_the_asked_points():
    maps, masks = random_set(0, 10_000, images=20)
    curve = metrics.roc_curve(maps, masks, points=25)
    assert 20 <= curve.rate.size <= 25
    assert curve.rate[0] == 0
    assert curve.rate[-1] == 1


# One row: a region of 1 pixel at score 4, one of 2 pixels at 3 and 1, 5 normal pixels.
#   score   4  3  2  1  0   normal pixels: one at 3, one at 2, three at 0
HAND_MAP = np.array([[4, 0, 3, 1, 0, 0, 3, 2]], np.float32)
HAND_MASK = np.array([[1, 0, 1, 1, 0, 0, 0, 0]], bool)


def test_known_answer_by_hand():
    figures = metrics.localisation_figures([HAND_MAP], [HAND_MASK])
    # Pairs won of 15: 4 beats 5; 3 beats 4 and ties one; 1 beats 3.
    assert figures.pixel_auroc == pytest.approx(12.5 / 15)
    # Precision 1, 2/3, 3/5 as the recall climbs by a third each time.
    assert figures.average_precision == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    # IoU 1/3, 2/4, 3/5 at thresholds 4, 3, 1.
    assert figures.best_iou == pytest.approx(3 / 5)
    assert figures.best_iou_threshold == 1.0
    assert figures.best_f1 == pytest.approx(3 / 4)
    # Overlap 1/2 at FPR 0; climbs to 3/4 at 0.2 (a tie); flat to 0.4; then 1.
    assert figures.aupro == pytest.approx((0.2 * 0.625 + 0.1 * 0.75) / 0.3)
    assert figures.image_auroc is None  # there is no normal image


def test_region_overlap_by_hand():
    overlap = metrics.region_overlap([HAND_MAP], [HAND_MASK], threshold=3.0)
    assert overlap == pytest.approx((1 + 1 / 2) / 2)


def test_regions_are_eight_connected_and_weigh_the_same():
    # A diagonal of 3 pixels is one region, not three; the other region is 1 pixel.
    mask = np.zeros((5, 5), bool)
    mask[[0, 1, 2, 4], [0, 1, 2, 0]] = True
    found = np.where(np.eye(5, dtype=bool), 1.0, 0.0).astype(np.float32)
    overlap = metrics.region_overlap([found], [mask], threshold=1.0)
    assert overlap == pytest.approx(1 / 2)


def test_a_region_never_continues_into_the_next_image():
    # Stacked in one column, the masks would be one region of 3 pixels, a third found.
    maps = np.array([[[0], [1]], [[0], [0]]], np.float32)
    masks = np.array([[[False], [True]], [[True], [True]]])
    overlap = metrics.region_overlap(maps, masks, threshold=1.0)
    assert overlap == pytest.approx(1 / 2)


def test_perfect_and_inverted_maps():
    _, masks = random_set(1, 2)
    perfect = metrics.localisation_figures([mask * 1.0 for mask in masks], masks)
    assert perfect[:4] == pytest.approx((1, 1, 1, 1))
    inverted = metrics.localisation_figures([mask * -1.0 for mask in masks], masks)
    assert inverted.pixel_auroc == 0
    assert inverted.aupro == 0
    share = flat(masks).mean()
    assert inverted.best_iou == pytest.approx(share)
    assert inverted.average_precision == pytest.approx(share)


@pytest.mark.parametrize("limit", [0.1, 0.3, 1.0])
def test_a_flat_map_is_a_coin(limit):
    _, masks = random_set(2, 2)
    figures = metrics.localisation_figures(
        [np.zeros(mask.shape) for mask in masks], masks, limit=limit
    )
    assert figures.pixel_auroc == pytest.approx(1 / 2)
    assert figures.aupro == pytest.approx(limit / 2)


@random_sets
@given(seed=seeds, levels=levels)
def test_monotone_maps_change_no_figure_but_the_threshold(seed, levels):
    maps, masks = random_set(seed, levels)
    plain = metrics.localisation_figures(maps, masks)
    bent = metrics.localisation_figures(
        [np.exp(3 * score) - 5 for score in maps], masks
    )
    unchanged = plain._replace(best_iou_threshold=bent.best_iou_threshold)
    assert unchanged == bent


@random_sets
@given(seed=seeds, levels=levels)
def test_order_of_images_and_container_change_nothing(seed, levels):
    maps, masks = random_set(seed, levels)
    plain = metrics.localisation_figures(maps, masks)
    shuffled = metrics.localisation_figures(maps[::-1], tuple(masks[::-1]))
    np.testing.assert_allclose(plain[:6], shuffled[:6], rtol=1e-12)
    same = [score[:4, :4] for score in maps], [mask[:4, :4] for mask in masks]
    same[1][0][3, 3] = False
    listed = metrics.localisation_figures(*same)
    assert listed == metrics.localisation_figures(*map(np.stack, same))
    assert listed == metrics.localisation_figures(*(jnp.stack(each) for each in same))
    ones = [mask.astype(np.uint8) for mask in same[1]]
    assert listed == metrics.localisation_figures(same[0], ones)


def test_inputs_are_left_as_they_were():
    maps, masks = random_set(3, 7)
    before = [score.copy() for score in maps]
    metrics.localisation_figures(maps, masks)
    for score, old in zip(maps, before, strict=True):
        np.testing.assert_array_equal(score, old)


def test_zero_padding_inflates_auroc_so_images_are_never_padded_together():
    maps, masks = [np.array([[3.0, 4, 2, 1]])], [np.array([[True, False, True, False]])]
    assert metrics.pixel_auroc(maps, masks) == pytest.approx(0.5)
    # Three quarters of (score 0, normal) pixels: 0.75 + 0.25 AUROC if all were
    # normal pixels of the negative class; here 12 of 14 negatives are padding.
    padded = np.pad(maps[0], ((0, 3), (0, 0))), np.pad(masks[0], ((0, 3), (0, 0)))
    inflated = metrics.pixel_auroc([padded[0]], [padded[1]])
    assert inflated == pytest.approx((12 + 2 * 0.5) / 14)
    # Images of several sizes are pooled as they are: the small one keeps its weight.
    ragged = metrics.pixel_auroc(
        [maps[0], np.ones((3, 5))], [masks[0], np.zeros((3, 5))]
    )
    assert ragged == pytest.approx((2 * 15 + 2 * 2 * 0.5) / (2 * 17))


def test_float64_scores_are_not_rounded_to_float32():
    close = np.array([[1.0, 1.0 + 1e-12, 0.0]])
    mask = np.array([[False, True, False]])
    assert metrics.pixel_auroc([close], [mask]) == 1.0
    assert metrics.pixel_auroc([close.astype(np.float32)], [mask]) == 0.75
    # One image in float32 must not round the others.
    pair = [close, np.zeros((1, 3), np.float32)], [mask, np.zeros((1, 3), bool)]
    assert metrics.pixel_auroc(*pair) == 1.0


def test_half_precision_and_integer_maps_are_ranked_exactly():
    maps, masks = random_set(4, 7)
    whole = [np.round(score * 7).astype(np.int32) for score in maps]
    expected = metrics.localisation_figures(whole, masks)
    for dtype in (np.uint8, np.float16, jnp.bfloat16):
        same = metrics.localisation_figures(
            [score.astype(dtype) for score in whole], masks
        )
        assert same == expected


def test_image_auroc_by_hand_and_as_scikit_learn_has_it():
    labels = np.array([0, 1, 1, 0, 1])
    scores = np.array([1.0, 1.0, 3.0, 2.0, 5.0])
    assert metrics.image_auroc(scores, labels) == pytest.approx((0.5 + 2 + 2) / 6)
    assert metrics.image_auroc(scores, labels) == pytest.approx(
        roc_auc_score(labels, scores)
    )


def test_image_scores_are_the_maximum_of_the_map_unless_given():
    maps = np.array([[[1, 1]], [[0, 9]], [[5, 5]]], np.float32)
    masks = np.array([[[0, 0]], [[0, 1]], [[0, 0]]])
    assert metrics.localisation_figures(maps, masks).image_auroc == 1.0
    by_mean = metrics.localisation_figures(maps, masks, image_scores=maps.mean((1, 2)))
    assert by_mean.image_auroc == 0.5


def test_a_defect_that_vanished_at_the_size_of_the_mask_stays_positive():
    maps = np.array([[[3, 3]], [[0, 9]], [[1, 1]]], np.float32)
    masks = np.array([[[0, 0]], [[0, 1]], [[0, 0]]])
    by_mask = metrics.localisation_figures(maps, masks)
    given = metrics.localisation_figures(maps, masks, image_labels=np.array([0, 1, 1]))
    assert by_mask.image_auroc == 1.0  # 9 against 3 and 1
    assert given.image_auroc == 0.5  # 9 and 1 against 3
    assert given._replace(image_auroc=1.0) == by_mask  # pixels are what they were
    none_normal = metrics.localisation_figures(maps, masks, image_labels=np.ones(3))
    assert none_normal.image_auroc is None


def blob_maps():
    """A region of 6 pixels whose scores are 1 to 6, and one of 2 pixels at 9."""
    score = np.zeros((8, 8), np.float32)
    score[0, :6] = [1, 2, 3, 4, 5, 6]
    score[5, 5:7] = 9
    return [score, np.zeros((4, 4), np.float32)]


@pytest.mark.parametrize(("area", "last_shown"), [(3, 4), (6, 1), (7, 0), (2, 9)])
def test_estimated_threshold_is_just_above_the_score_that_shows_too_much(
    area, last_shown
):
    threshold = metrics.estimated_threshold(blob_maps(), minimum_area=area)
    assert threshold == np.nextafter(np.float32(last_shown), np.float32(np.inf))


@random_sets
@given(seed=seeds, area=st.integers(1, 20))
def test_estimated_threshold_hides_large_regions_and_no_lower_one_does(seed, area):
    maps, _ = random_set(seed, 50)

    def largest(threshold):
        sizes = [0]
        for score in maps:
            sizes += [len(region) for region in regions_of(score >= threshold)]
        return max(sizes)

    threshold = np.float32(metrics.estimated_threshold(maps, minimum_area=area))
    assert largest(threshold) < area
    below = flat(maps)[flat(maps) < threshold].max()
    assert largest(below) >= area or below == flat(maps).min()


@random_sets
@given(seed=seeds, levels=levels, area=st.integers(1, 20))
def test_estimated_threshold_is_that_of_raising_it_score_by_score(seed, levels, area):
    maps, _ = random_set(seed, levels)
    for score in np.unique(flat(maps)):
        regions = [len(r) for each in maps for r in regions_of(each > score)]
        if max(regions, default=0) < area:
            break
    found = metrics.estimated_threshold(maps, minimum_area=area)
    assert found == np.nextafter(score, np.float32(np.inf))


@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        ([np.zeros((2, 2))], [np.zeros((2, 2))], "both classes, got only 0"),
        ([np.zeros((2, 2))], [np.ones((2, 2))], "both classes, got only 1"),
        (
            [np.ones((2, 2)), np.full((2, 2), np.nan)],
            [np.eye(2)] * 2,
            "map 1 has a NaN",
        ),
        ([np.ones((2, 2))], [np.eye(3)], r"image 0 has map \(2, 2\) and mask \(3, 3\)"),
        ([np.ones((2, 2))] * 2, [np.eye(2)], "got 2 maps and 1 masks"),
        ([np.ones((2, 2, 1))], [np.ones((2, 2, 1))], r"map 0 has shape \(2, 2, 1\)"),
        ([np.ones((2, 2))], [255 * np.eye(2)], "mask 0 has 255.0; threshold it"),
        ([np.ones((2, 2))], [0.5 * np.eye(2)], "mask 0 has 0.5; threshold it"),
        ([], [], "got none"),
    ],
)
def test_bad_input_is_one_clear_line(maps, masks, message):
    with pytest.raises(ValueError, match=message) as error:
        metrics.localisation_figures(maps, masks)
    assert "\n" not in str(error.value)


OF_A_PAIR = (
    metrics.localisation_figures,
    metrics.pixel_auroc,
    metrics.average_precision,
    metrics.best_iou,
    metrics.aupro,
    metrics.roc_curve,
    metrics.pro_curve,
    functools.partial(metrics.region_overlap, threshold=1.0),
)


@pytest.mark.parametrize(
    ("maps", "masks"),
    [
        ([HAND_MAP], [np.zeros_like(HAND_MASK)]),
        ([HAND_MAP], []),
        ([HAND_MAP], [HAND_MASK.T]),
        ([HAND_MAP], [2 * HAND_MASK]),
        ([HAND_MAP * np.nan], [HAND_MASK]),
        ([HAND_MAP[0]], [HAND_MASK[0]]),
        ([], []),
    ],
)
@pytest.mark.parametrize("function", OF_A_PAIR)
def test_an_error_names_the_function_that_was_called(function, maps, masks):
    name = getattr(function, "func", function).__name__
    with pytest.raises(ValueError, match=f"^{name}: "):
        function(maps, masks)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: metrics.aupro([HAND_MAP], [HAND_MASK], limit=0.0),
            r"^aupro: limit must be",
        ),
        (
            lambda: metrics.localisation_figures([HAND_MAP], [HAND_MASK], limit=0.0),
            "^localisation_figures: limit",
        ),
        (lambda: metrics.aupro([HAND_MAP], [HAND_MASK], limit=1.5), r"got 1\.5"),
        (lambda: metrics.estimated_threshold([HAND_MAP], minimum_area=0), "got 0"),
        (
            lambda: metrics.estimated_threshold([], minimum_area=3),
            "^estimated_threshold: at least one map",
        ),
        (
            lambda: metrics.image_auroc(np.ones(2), np.ones(2)),
            "got only 1; add images of the other",
        ),
        (
            lambda: metrics.localisation_figures(
                [HAND_MAP], [HAND_MASK], image_labels=np.array([1, 0])
            ),
            r"each of 1 images, got shape \(2,\)",
        ),
        (
            lambda: metrics.localisation_figures(
                [HAND_MAP], [HAND_MASK], image_labels=np.zeros(1)
            ),
            "image 0 has defect pixels but is labelled normal",
        ),
        (
            lambda: metrics.roc_curve([HAND_MAP], [HAND_MASK], points=1),
            "^roc_curve: points must be at least 2, both ends, got 1",
        ),
        (
            lambda: metrics.localisation_figures(
                np.zeros((2, 1, 2)),
                np.array([[[0, 1]], [[0, 0]]]),
                image_scores=np.array([0, np.nan]),
            ),
            "^localisation_figures: scores must be numbers, score 1 is NaN",
        ),
        (lambda: metrics.image_auroc(np.ones(2), np.ones(3)), "each image needs"),
        (
            lambda: metrics.image_auroc(np.array([0, np.nan]), np.array([0, 1])),
            "score 1 is NaN",
        ),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_no_jax_is_imported():
    code = "import sys, vae_jax.metrics; print('jax' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


MEASURE = """
import json, pathlib, re, sys, time
import numpy as np
from vae_jax import metrics

def peak():
    # Not ru_maxrss, which a process inherits from the one that started it.
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) * 1024

generator = np.random.default_rng(0)
images, side = int(sys.argv[1]), 1000
maps = np.empty((images, side, side), np.float32)
for score in maps:
    generator.random(out=score, dtype=np.float32)
masks = np.zeros(maps.shape, bool)
masks[::2, 100:200, 100:200] = True
before, start = peak(), time.perf_counter()
figures = metrics.localisation_figures(maps, masks)
print(json.dumps({
    "seconds": time.perf_counter() - start,
    "extra": peak() - before,
    "input": maps.nbytes + masks.nbytes,
    "auroc": figures.pixel_auroc,
}))
"""


@pytest.mark.slow
def test_a_hundred_million_pixels_take_less_extra_memory_than_the_input():
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, "100"],
        capture_output=True,
        text=True,
        check=True,
    )
    measured = json.loads(done.stdout)
    print(measured)
    assert measured["extra"] < 1.2 * measured["input"]
    assert measured["auroc"] == pytest.approx(0.5, abs=2e-3)


def test_no_area_exceeds_one_however_few_the_scores():
    masks = np.zeros((3, 16, 16), bool)
    masks[:2, 3:6, 3:9] = True
    found = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        levels = rng.integers(0, rng.integers(2, 5), masks.shape)
        found.append(metrics.aupro(levels + 2 * rng.random() * masks, masks))
    assert max(found) == 1.0
