import numpy as np
import pytest
from PIL import Image

from vae_jax import plots


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


@pytest.mark.parametrize("kind", [int, float])
def test_a_heat_map_is_darker_where_the_number_is_greater(tmp_path, kind):
    path = tmp_path / "heat.png"
    values = np.array([[0, 500, 1000]], kind)
    plots.save_heat_map(path, values, rows=["r"], columns=["a", "b", "c"], title="t")
    drawn = pixels(path).mean(-1)
    row = drawn[int(len(drawn) * 0.45)]
    low, middle, high = (np.median(part) for part in np.array_split(row[60:-12], 3))
    assert low > middle + 40
    assert middle > high + 40


def test_a_heat_map_of_one_value_and_of_a_missing_one_is_drawn(tmp_path):
    path = tmp_path / "heat.png"
    for values in (np.full((2, 2), 3), np.array([[1.0, np.nan]])):
        rows, columns = (["n"] * n for n in values.shape)
        plots.save_heat_map(path, values, rows=rows, columns=columns, title="t")
        assert pixels(path).std() > 1
