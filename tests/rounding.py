"""How far rounding may take a result: the one rule that tolerances are made by."""

import jax.numpy as jnp
import numpy as np


def rounding(size, terms, *, at_random=False, dtype=np.float32):
    """The largest error of a sum of `terms` products, `size` in absolute value.

    In whatever order they are added, a term takes part in n roundings at most, one of
    its product and the others of partial sums, each by a relative u = eps / 2. So
    |error| <= n u sum|terms| (Higham 2002, Accuracy and Stability of Numerical
    Algorithms, section 3.1), on every processor. Of a chain of operations, `terms` is
    their number and `size` the largest number that comes up.

    Roundings of terms drawn `at_random` are independent and of mean 0: they exceed
    6 sqrt(n) u sum|terms| with probability below 2 exp(-18) (Higham and Mary 2019,
    SIAM J. Sci. Comput. 41).
    """
    roundings = np.minimum(terms, 6 * np.sqrt(terms)) if at_random else terms
    return roundings * float(jnp.finfo(dtype).eps) / 2 * size
