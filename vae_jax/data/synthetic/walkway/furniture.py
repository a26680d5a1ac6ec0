"""What stands beside the walkway."""

import numpy as np

from vae_jax.data.synthetic.walkway.figures import UP, Part, Point


def bush(rng: np.random.Generator, place: Point) -> list[Part]:
    """A shrub: a heap of leaves, the upper ones in the light."""
    leaves = []
    for _ in range(400):
        direction = rng.normal(size=3)
        direction *= rng.uniform(0.6, 1.0) / np.linalg.norm(direction)
        point = place + np.array([0.8, 0.75, 1.0]) * (direction + UP)
        shade = 0.17 + 0.09 * direction[1] + rng.normal(0.0, 0.03)
        leaves.append(Part(np.stack([point, point]), rng.uniform(0.05, 0.1), shade))
    return leaves


def lamp(place: Point) -> list[Part]:
    """A lamp post."""
    top = place + 3.6 * UP
    return [
        Part(np.stack([place, top]), 0.06, 0.25),
        Part(np.stack([top, top + 0.25 * UP]), 0.16, 0.85),
    ]
