"""What a method is compared with."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8

MapFunction = Callable[
    [UInt8[np.ndarray, "image height width channel"]],
    Float[np.ndarray, "image height width"],
]
"""From images to raw anomaly maps of their size; higher is more anomalous."""
