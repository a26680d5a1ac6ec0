"""The outlines in implicit form: an independent twin of the curves that are drawn."""

import numpy as np
import pytest


def square(u, v):
    return np.maximum(np.abs(u), np.abs(v)) <= 9.598


def ellipse(u, v):
    return (u / 12.765) ** 2 + (v / 7.215) ** 2 <= 1


def heart(u, v):
    """Between the curve's two passes of each |x|, at t and at pi - t."""
    x, y = np.abs(u) / 0.6, (-v - 1.44) / 0.662
    t = np.arcsin(np.cbrt(np.minimum(x / 16, 1)))

    def height(t):
        return 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)

    return (x <= 16) & (height(np.pi - t) <= y) & (y <= height(t))


@pytest.fixture(scope="session")
def is_inside():
    """(shape, dx, dy in pixels from the centre, scale, orientation) -> bool."""

    def is_inside(shape, dx, dy, scale, theta):
        u = (dx * np.cos(theta) - dy * np.sin(theta)) / scale
        v = (dx * np.sin(theta) + dy * np.cos(theta)) / scale
        return (square, ellipse, heart)[shape](u, v)

    return is_inside
