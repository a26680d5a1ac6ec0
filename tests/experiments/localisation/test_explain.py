import numpy as np

from experiments.localisation.explain import resize_map


def test_a_map_of_the_right_size_is_not_touched_and_a_flat_one_stays_flat():
    values = np.random.default_rng(0).random((4, 4)).astype(np.float32)
    assert resize_map(values, (4, 4)) is values
    flat = resize_map(np.full((4, 4), 0.3, np.float32), (9, 7))
    np.testing.assert_allclose(flat, np.full((9, 7), 0.3), rtol=1e-6)
