"""UCSD Ped1 in memory, by what of its test clips is scored."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, assert_never

import numpy as np
from jaxtyping import Int

from vae_jax.data.category import (
    CategoryData,
    DecodedOnDemand,
    TestImages,
    decode_all,
    load_test,
    validation_split,
)
from vae_jax.data.concurrency import Progress, Tally
from vae_jax.data.prepared import Record, Records, open_split
from vae_jax.data.ucsd_ped1.builder import prepare

Protocol = Literal["ped1_10", "ped1_frame", "ped1_full"]
"""ped1_10: the clips with published masks, ten of 36. ped1_frame: all clips, whole
frames by the label file. ped1_full: all clips, with somebody else's masks of them."""


def load_ped1(
    data_dir: str | Path,
    *,
    protocol: Protocol,
    prepared_dir: str | Path,
    size: int,
    seed: int,
    masks_dir: str | Path | None = None,
    category: str = "ped1",
    validation_share: float = 0.1,
    progress: Progress | None = None,
) -> CategoryData:
    """Prepares the set if need be and decodes it at the model's size.

    A clip without masks is never scored by pixels: its unmarked pixels are unknown, not
    normal. Validation holds out whole clips, since frames of one are alike. The kind of
    an anomalous frame's defect is the name of its clip.

    Args:
        data_dir: UCSDped1, the folder that holds it, or the one above.
        protocol: what of the test clips is scored.
        prepared_dir: where array records are kept between runs.
        size: side of the square images that the model sees, in pixels.
        seed: chooses the validation clips.
        masks_dir: for ped1_full, the folder with a TestNNN_gt for every test clip.
        category: what tables call it.
        validation_share: of the training clips.
        progress: called as (done, total) while frames are prepared, then decoded.

    Raises:
        ValueError: bad folder, frame or mask (see `prepare`), fewer than two training
            clips, no masked clip, or `masks_dir` with another protocol or without it.
    """
    if (protocol == "ped1_full") != (masks_dir is not None):
        raise ValueError(
            "load_ped1: ped1_full and masks_dir (--masks-dir) belong together, got "
            f"{protocol} and {masks_dir}; the published masks are of ten clips only."
        )
    builder = prepare(data_dir, prepared_dir, masks_dir=masks_dir, progress=progress)
    train, test = open_split(builder, "train"), open_split(builder, "test")
    scored = test.select(_scored(test, protocol))
    kept, held_out = split_clips(_clips(train), share=validation_share, seed=seed)
    done = Tally(progress, total=len(train) + len(scored))
    again = functools.partial(
        load_ped1,
        data_dir,
        protocol=protocol,
        prepared_dir=prepared_dir,
        seed=seed,
        masks_dir=masks_dir,
        category=category,
        validation_share=validation_share,
    )
    decode = functools.partial(DecodedOnDemand, size=size, channels=1)
    return CategoryData(
        category=category,
        train=decode_all(decode(train, kept), done=done),
        validation=decode_all(decode(train, held_out), done=done),
        test=_load_test(scored, protocol, size=size, done=done),
        channels=1,
        sha256=builder.manifest["sha256"],
        at_size=lambda other: again(size=other),
    )


def split_clips(
    clips: Sequence[str], *, share: float, seed: int
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " validation"]]:
    """Divides frames, whose clips are given, into training and validation indices.

    Whole clips are held out. The training indices are shuffled, so that the first few
    stand for all.
    """
    names = list(dict.fromkeys(clips))
    kept, held_out = validation_split(names, share=share, seed=seed)
    of_clip = {name: np.flatnonzero(np.asarray(clips) == name) for name in names}
    train, validation = (
        np.concatenate([of_clip[names[i]] for i in chosen])
        for chosen in (kept, held_out)
    )
    return np.random.default_rng(seed).permutation(train), validation


def _clips(records: Records) -> list[str]:
    """The clip of each frame: Train001 of Train/Train001/001.tif."""
    return [records[i]["path"].split("/")[1] for i in range(len(records))]


def _scored(test: Records, protocol: Protocol) -> Int[np.ndarray, " frame"]:
    records = (test[index] for index in range(len(test)))
    chosen = np.flatnonzero([_is_scored(record, protocol) for record in records])
    if not len(chosen):
        raise ValueError(
            f"load_ped1: {protocol} wants masked clips, got none; add the TestNNN_gt "
            "folders or take ped1_frame."
        )
    return chosen


def _is_scored(record: Record, protocol: Protocol) -> bool:
    match protocol:
        case "ped1_10" | "ped1_full":
            return record["has_mask"]
        case "ped1_frame":
            return True
        case _:
            assert_never(protocol)


def _load_test(
    records: Records, protocol: Protocol, *, size: int, done: Tally
) -> TestImages:
    if protocol != "ped1_frame":
        return load_test(records, size=size, channels=1, done=done)
    frames = DecodedOnDemand(records, np.arange(len(records)), size=size, channels=1)
    labelled = [records[index] for index in range(len(records))]
    return TestImages(
        images=decode_all(frames, done=done),
        masks=np.broadcast_to(np.False_, (len(records), size, size)),
        defects=tuple(record["defect"] for record in labelled),
        paths=tuple(record["path"] for record in labelled),
        native_masks=(),
        has_masks=False,
    )
