"""How far a mean over few independent results may be off."""

import numpy as np
import scipy.special
from jaxtyping import Float


def confidence_half_width(
    values: Float[np.ndarray, " result"], *, coverage: float = 0.95
) -> float:
    """Half the interval of the mean of independent normal values, by Student's t.

    Values that depend on one another, as scores of runs against each other, are covered
    far less often than `coverage` says.

    Raises:
        ValueError: there are fewer than two values, or the coverage is not in (0, 1).
    """
    if len(values) < 2:
        raise ValueError(
            "confidence_half_width: a deviation needs at least two values, got "
            f"{len(values)}."
        )
    if not 0 < coverage < 1:
        raise ValueError(
            f"confidence_half_width: coverage must be in (0, 1), got {coverage}."
        )
    error = values.std(ddof=1) / np.sqrt(len(values))
    return float(error * scipy.special.stdtrit(len(values) - 1, (1 + coverage) / 2))
