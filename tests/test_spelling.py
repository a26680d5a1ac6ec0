import pytest

from vae_jax.spelling import did_you_mean


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("scerw", "; did you mean 'screw'?"),
        ("screws", "; did you mean 'screw'?"),
        ("xyz", "."),
    ],
)
def test_the_nearest_name_is_hinted_at_if_it_is_near(name, hint):
    assert did_you_mean(name, ["leather", "screw"]) == hint
