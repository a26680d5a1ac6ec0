"""Figures that Liu et al. 2020 print, to stand beside ours; never computed with."""

from typing import Any, NamedTuple

Row = dict[str, Any]


class Figures(NamedTuple):
    """Both figures of one cell of the paper's Table 2."""

    pixel_auroc: float
    second: float


METHODS = ("AE-SSIM", "AE-L2", "AnoGAN", "CNN-FD", "VAE attention")
OURS_IN_THE_PAPER = "VAE attention"

_TABLE_2 = {
    "carpet": ((0.87, 0.69), (0.59, 0.38), (0.54, 0.34), (0.72, 0.20), (0.78, 0.10)),
    "grid": ((0.94, 0.88), (0.90, 0.83), (0.58, 0.04), (0.59, 0.02), (0.73, 0.02)),
    "leather": ((0.78, 0.71), (0.75, 0.67), (0.64, 0.34), (0.87, 0.74), (0.95, 0.24)),
    "tile": ((0.59, 0.04), (0.51, 0.23), (0.50, 0.08), (0.93, 0.14), (0.80, 0.23)),
    "wood": ((0.73, 0.36), (0.73, 0.29), (0.62, 0.14), (0.91, 0.47), (0.77, 0.14)),
    "bottle": ((0.93, 0.15), (0.86, 0.22), (0.86, 0.05), (0.78, 0.07), (0.87, 0.27)),
    "cable": ((0.82, 0.01), (0.86, 0.05), (0.78, 0.01), (0.79, 0.13), (0.90, 0.18)),
    "capsule": ((0.94, 0.09), (0.88, 0.11), (0.84, 0.04), (0.84, 0.00), (0.74, 0.11)),
    "hazelnut": ((0.97, 0.00), (0.95, 0.41), (0.87, 0.02), (0.72, 0.00), (0.98, 0.44)),
    "metal_nut": ((0.89, 0.01), (0.86, 0.26), (0.76, 0.00), (0.82, 0.13), (0.94, 0.49)),
    "pill": ((0.91, 0.07), (0.85, 0.25), (0.87, 0.17), (0.68, 0.00), (0.83, 0.18)),
    "screw": ((0.96, 0.03), (0.96, 0.34), (0.80, 0.01), (0.87, 0.00), (0.97, 0.17)),
    "toothbrush": (
        (0.92, 0.08),
        (0.93, 0.51),
        (0.90, 0.07),
        (0.77, 0.00),
        (0.94, 0.14),
    ),
    "transistor": (
        (0.90, 0.01),
        (0.86, 0.22),
        (0.80, 0.08),
        (0.66, 0.03),
        (0.93, 0.30),
    ),
    "zipper": ((0.88, 0.10), (0.77, 0.13), (0.78, 0.01), (0.76, 0.00), (0.78, 0.06)),
}

TABLE_2 = {
    category: {
        method: Figures(*figures)
        for method, figures in zip(METHODS, cells, strict=True)
    }
    for category, cells in _TABLE_2.items()
}
"""Category -> method -> figures."""

CAVEAT = """\
Table 2 of Liu et al. 2020 has two figures a cell, and the second is not one metric: for
their own maps it is the best IoU over all thresholds; for the four baselines, copied
from Bergmann et al. 2019, it is the overlap at a threshold estimated on normal images.
Here each stands in its own column."""


def table_2_rows(category: str) -> list[Row]:
    """The published rows of a category, each figure in the column of its metric."""
    rows = []
    for method, figures in TABLE_2.get(category, {}).items():
        is_ours = method == OURS_IN_THE_PAPER
        rows.append(
            {
                "category": category,
                "method": f"published: {method}",
                "kind": "attention" if is_ours else "baseline",
                "pixel_auroc": figures.pixel_auroc,
                "best_iou" if is_ours else "overlap": figures.second,
            }
        )
    return rows


TABLE_1 = {
    "Vanilla-VAE": ("baseline", 0.86),
    "VAE attention, 50x50": ("attention", 0.89),
    "VAE attention, 25x25": ("attention", 0.92),
    "VAE attention, 12x12": ("attention", 0.91),
}
"""Method -> kind and pixel AUROC on UCSD Ped1; the sizes are those of the maps."""

TABLE_1_CAVEAT = """\
Table 1 of Liu et al. 2020 is on UCSD Ped1 and says neither which test clips were scored
nor how the network was trained. Its sizes are those of the three convolutions: conv1,
conv2, conv3 here."""


def table_1_rows(category: str) -> list[Row]:
    """The published rows of UCSD Ped1, which is called ped1."""
    if category != "ped1":
        return []
    return [
        {
            "category": category,
            "method": f"published: {method}",
            "kind": kind,
            "pixel_auroc": pixel_auroc,
        }
        for method, (kind, pixel_auroc) in TABLE_1.items()
    ]
