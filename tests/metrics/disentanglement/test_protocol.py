import pytest

from vae_jax.metrics.disentanglement import REPRO2021, STANDARD, Protocol


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"votes": 0}, "votes must be at least 1, got 0"),
        ({"evaluation_votes": 0}, "evaluation_votes must be at least 1, got 0"),
        ({"group": 1}, "group must be at least 2, got 1"),
        ({"variance_examples": 1}, "variance_examples must be at least 2, got 1"),
        ({"minimum_std": -0.1}, "minimum_std must be at least 0, got -0.1"),
        ({"minimum_std": float("nan")}, "minimum_std must be at least 0, got nan"),
        ({"minimum_kl": float("nan")}, "minimum_kl must be a number of nats, got nan"),
        ({"constant_factors": -1}, "constant_factors must be at least 0, got -1"),
        ({"train": 1}, "train must be at least 2, got 1"),
        ({"test": 0}, "test must be at least 1, got 0"),
    ],
)
def test_numbers_of_which_no_score_can_be_made_are_refused(wrong, message):
    with pytest.raises(ValueError, match=f"^Protocol: {message}"):
        Protocol(**wrong)


def test_the_published_protocols_are_as_published():
    assert (STANDARD.votes, STANDARD.evaluation_votes, STANDARD.group) == (
        10_000,
        5_000,
        64,
    )
    assert STANDARD.minimum_std == 0.05
    assert (REPRO2021.votes, REPRO2021.evaluation_votes, REPRO2021.group) == (
        800,
        None,
        100,
    )
