import pytest
from hypothesis import given
from hypothesis import strategies as st

from vae_jax.report.budget import Plan, Sizes, plan

MANY = Sizes([[40, 40, 40], [10, 10, 10]], [8, 8, 0])


@pytest.mark.parametrize(
    ("room", "want"),
    [
        (1000, Plan(0, (3,), (3,))),  # all of it
        (136, Plan(0, (3,), (3,))),  # exactly all of it
        (135, Plan(1, (3,), (3,))),  # the coarse pictures
        (46, Plan(1, (3,), (1,))),  # a quarter of 46 holds one with its latents
        (29, Plan(1, (2,), (0,))),  # pictures left out
        (9, Plan(1, (0,), (0,))),
        (0, Plan(1, (0,), (0,))),
    ],
)
def test_known_plans(room, want):
    assert plan([MANY], room=room) == want


def test_no_category_at_all():
    assert plan([], room=10) == Plan(0, (), ())


def test_a_large_category_does_not_starve_a_small_one():
    large, small = Sizes([[10] * 100], [0] * 100), Sizes([[10] * 5], [0] * 5)
    assert plan([large, small], room=100).pictures == (5, 5)
    assert plan([large, small], room=300).pictures == (25, 5)


sections = st.lists(
    st.integers(0, 6).flatmap(
        lambda n: st.builds(
            Sizes,
            st.tuples(*[st.lists(st.integers(1, 99), min_size=n, max_size=n)] * 2),
            st.lists(st.integers(0, 99), min_size=n, max_size=n),
        )
    ),
    max_size=4,
)


@given(sections, st.integers(0, 2000))
def test_a_plan_never_exceeds_its_room(sizes, room):
    found = plan(sizes, room=room)
    taken = sum(
        sum(own.pictures[found.rendition][:pictures]) + sum(own.latents[:latents])
        for own, pictures, latents in zip(
            sizes, found.pictures, found.latents, strict=True
        )
    )
    assert taken <= room
    assert all(map(int.__le__, found.latents, found.pictures))


@given(sections)
def test_with_enough_room_nothing_is_left_out(sizes):
    found = plan(sizes, room=10**6)
    everything = tuple(len(own.latents) for own in sizes)
    assert found == Plan(0, everything, everything)
