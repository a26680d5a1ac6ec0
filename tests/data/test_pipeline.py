import itertools

import numpy as np
import pytest

from vae_jax.data.augment import Augmentation
from vae_jax.data.pipeline import eval_batches, train_batches, train_dataset

TURNED = Augmentation(True, True, True, 180.0, "reflect")


@pytest.fixture
def source():
    return np.random.default_rng(0).integers(
        0, 256, size=(11, 32, 32, 1), dtype=np.uint8
    )


@pytest.fixture
def labelled():
    """Image i holds the value i everywhere."""
    return np.broadcast_to(
        np.arange(11, dtype=np.uint8)[:, None, None, None], (11, 32, 32, 1)
    ).copy()


def labels(batch) -> list[int]:
    return np.rint(255 * batch["image"][:, 0, 0, 0]).astype(int).tolist()


def test_a_batch_is_float32_in_the_unit_interval(source):
    batch = train_dataset(source, batch_size=4, seed=0, augmentation=TURNED)[0]
    assert set(batch) == {"image"}
    assert batch["image"].shape == (4, 32, 32, 1)
    assert batch["image"].dtype == np.float32
    assert 0 <= batch["image"].min() < batch["image"].max() <= 1


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("start", [0, 5])
@pytest.mark.parametrize("crop", [None, 8])
def test_batch_k_is_dataset_k_with_any_threads_from_any_step(
    source, threads, start, crop
):
    arguments = {"batch_size": 4, "seed": 3, "augmentation": TURNED, "crop": crop}
    dataset = train_dataset(source, **arguments)
    batches = train_batches(source, **arguments, start_step=start, threads=threads)
    for step, batch in enumerate(itertools.islice(batches, 6), start=start):
        np.testing.assert_array_equal(batch["image"], dataset[step]["image"])


@pytest.mark.parametrize("count", [2, 4])
def test_blocks_of_several_processes_are_the_batch_of_one(source, count):
    arguments = {"batch_size": 8, "seed": 3, "augmentation": TURNED}
    alone = train_dataset(source, **arguments)
    together = [
        train_dataset(source, **arguments, process_index=index, process_count=count)
        for index in range(count)
    ]
    for step in (0, 1, 9):
        blocks = [dataset[step]["image"] for dataset in together]
        np.testing.assert_array_equal(np.concatenate(blocks), alone[step]["image"])


@pytest.mark.parametrize("batch_size", [4, 25])
def test_every_epoch_holds_every_image_once(labelled, batch_size):
    dataset = train_dataset(labelled, batch_size=batch_size, seed=1)
    stream = itertools.chain.from_iterable(labels(dataset[k]) for k in range(22))
    stream = list(itertools.islice(stream, 88))
    epochs = [stream[start : start + 11] for start in range(0, 88, 11)]
    assert all(sorted(epoch) == list(range(11)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 8  # each in its own order


def test_each_epoch_augments_anew(source):
    one = source[:1]
    dataset = train_dataset(one, batch_size=1, seed=0, augmentation=TURNED)
    seen = {dataset[epoch]["image"].tobytes() for epoch in range(8)}
    assert len(seen) == 8


def test_each_epoch_crops_every_image_anew(labelled):
    rows = np.arange(16, dtype=np.uint8)[:, None, None]
    ramps = labelled[:, :16, :16] + 16 * rows
    dataset = train_dataset(ramps, batch_size=11, seed=0, crop=8)
    tops = []
    for epoch in range(8):
        batch = dataset[epoch]
        assert batch["image"].shape == (11, 8, 8, 1)
        top, label = np.divmod(labels(batch), 16)
        assert sorted(label) == list(range(11))
        tops.append(top[np.argsort(label)])
    assert all(set(top) <= set(range(9)) for top in tops)
    assert all(len(set(image)) > 2 for image in np.transpose(tops))


def test_the_seed_decides(source):
    first, again, other = (
        train_dataset(source, batch_size=8, seed=seed, augmentation=TURNED)[2]["image"]
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_crops_are_squares_of_the_augmented_image_from_anywhere():
    rows, columns = np.mgrid[:9, :9].astype(np.uint8)
    source = np.stack([rows, columns, 0 * rows], -1)[None]
    dataset = train_dataset(source, batch_size=256, seed=0, crop=4)
    crops = np.rint(255 * dataset[0]["image"]).astype(int)
    assert crops.shape == (256, 4, 4, 3)
    corners = crops[:, :1, :1]
    offsets = np.mgrid[:4, :4].transpose(1, 2, 0)
    np.testing.assert_array_equal((crops - corners)[..., :2], np.stack([offsets] * 256))
    assert {tuple(corner) for corner in corners[:, 0, 0, :2].tolist()} == {
        (top, left) for top in range(6) for left in range(6)
    }


@pytest.mark.parametrize("crop", [0, 33])
def test_a_crop_beyond_the_image_is_refused(source, crop):
    with pytest.raises(ValueError, match=f"side of the images, 32, got {crop};"):
        train_dataset(source, batch_size=1, seed=0, crop=crop)


@pytest.mark.parametrize(("batch_size", "count"), [(0, 1), (-4, 1), (6, 4)])
def test_a_batch_must_divide_among_the_processes(source, batch_size, count):
    with pytest.raises(ValueError, match=f"{count} processes, got {batch_size}"):
        train_dataset(source, batch_size=batch_size, seed=0, process_count=count)


def test_an_empty_source_is_refused(source):
    with pytest.raises(ValueError, match="must hold an image"):
        train_dataset(source[:0], batch_size=1, seed=0)


def test_eval_batches_hold_every_image_once_in_order(labelled):
    batches = list(eval_batches(labelled, batch_size=4))
    assert [batch["image"].shape for batch in batches] == [(4, 32, 32, 1)] * 3
    valid = np.concatenate([batch["valid"] for batch in batches])
    seen = np.concatenate([labels(batch) for batch in batches])
    np.testing.assert_array_equal(seen[valid], np.arange(11))
    np.testing.assert_array_equal(valid, np.arange(12) < 11)


def test_a_batch_of_no_image_is_refused():
    with pytest.raises(ValueError, match=r"eval_batches: .* at least 1 image, got 0"):
        next(eval_batches(np.zeros((1, 2, 2, 1), np.uint8), batch_size=0))
