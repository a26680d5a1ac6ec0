"""Data sets converted once to array records, by tfds but without TensorFlow."""

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from jaxtyping import Int

from vae_jax.data.concurrency import all_or_told, unfinished_folder
from vae_jax.data.folder import read_bytes
from vae_jax.folders import remedy

Builder = TypeVar("Builder", bound=tfds.core.GeneratorBasedBuilder)


class Record(TypedDict):
    """One record as stored: image and mask are the encoded bytes of a file."""

    image: bytes
    mask: bytes
    has_mask: bool
    defect: str
    path: str


def features(*, channels: int) -> tfds.features.FeaturesDict:
    """What a `Record` is to tfds."""
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(
                shape=(None, None, channels), encoding_format="png"
            ),
            "mask": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
            "has_mask": np.bool_,
            "defect": tfds.features.Text(),
            "path": tfds.features.Text(),
        }
    )


class Records:
    """A prepared split: `len`, and records by index, with the images still encoded."""

    def __init__(self, source: Sequence[dict[str, Any]]):
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Record:
        stored = self._source[index]
        return Record(
            image=stored["image"],
            mask=stored["mask"],
            has_mask=bool(stored["has_mask"]),
            defect=stored["defect"].decode(),
            path=stored["path"].decode(),
        )

    def select(self, indices: Int[np.ndarray, " record"]) -> "Records":
        """Some of the records, in the order of `indices`."""
        return Records(_Selected(self._source, indices))


class _Selected(Sequence[dict[str, Any]]):
    def __init__(
        self, source: Sequence[dict[str, Any]], indices: Int[np.ndarray, " record"]
    ):
        self._source = source
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: Any) -> Any:
        return self._source[int(self._indices[index])]


def open_split(builder: tfds.core.GeneratorBasedBuilder, split: str) -> Records:
    """Opens "train" or "test" (or a slice such as "train[:10]") for random access.

    Where there was nothing to test on, "test" is empty.
    """
    if split == "test" and split not in builder.info.splits:
        return Records(())
    skip = {name: tfds.decode.SkipDecoding() for name in ("image", "mask")}
    with quiet_tfds():
        source = builder.as_data_source(
            split=split,  # pyright: ignore[reportCallIssue]  hidden by a decorator
            decoders=skip,
        )
    return Records(source)


def fingerprint(files: Mapping[str, Path]) -> str:
    """Changes whenever a file is added, removed, renamed, moved, replaced or touched.

    Beside name, size and time of a file this goes by where it lies, by its number on
    the disk and by the time of its last change of any kind, which nobody can set.
    """
    digest = hashlib.sha256()
    for name, path in files.items():
        digest.update(f"{name}\0{path.absolute()}\0{_state(path)}\n".encode(**_BYTES))
    return digest.hexdigest()[:16]


def prepare_once(
    build: Callable[[Path], Builder], final: Path, *, name: str, manual_dir: Path
) -> Builder:
    """Converts a source unless that was done, and returns the builder that reads it.

    The records appear in `final` whole or not at all: they are written beside it and
    moved there, so that a kill leaves nothing to be read.

    Args:
        build: makes the builder that keeps its records in a folder.
        final: the folder; to be named after the state of the source.
        name: of the source, for folders and messages.
        manual_dir: where the builder finds the source.

    Raises:
        OSError: the folder above `final` cannot be written, or the disk is full.
    """
    with quiet_tfds():
        builder = build(final)
    if builder.info.splits:
        return builder
    try:
        _prepare_atomically(build, final, name=name, manual_dir=manual_dir)
    except OSError as error:
        what_then = remedy(error, other="give another prepared_dir (--cache-dir)")
        raise OSError(
            f"prepare: cannot write {name} below {final.parent} "
            f"({error.strerror or error}); {what_then}."
        ) from error
    with quiet_tfds():
        return build(final)


def _prepare_atomically(
    build: Callable[[Path], Builder], final: Path, *, name: str, manual_dir: Path
) -> None:
    with quiet_tfds(), unfinished_folder(name, beside=final) as scratch:
        data_dir = scratch / "data"
        build(data_dir).download_and_prepare(
            download_dir=scratch / "downloads",
            download_config=tfds.download.DownloadConfig(manual_dir=manual_dir),
        )
        try:
            data_dir.rename(final)
        except OSError:
            # Another process may have been faster: then its copy serves.
            if not build(final).info.splits:
                raise


def hash_contents(files: Mapping[str, Path]) -> dict[str, Any]:
    """`combine` of the digests of some files, by name.

    Raises:
        ValueError: some cannot be read, or are no files; all are named.
    """

    def digest(name: str) -> str:
        encoded = read_bytes("hash_contents", files[name], name=name)
        return hashlib.sha256(encoded).hexdigest()

    names = list(files)
    digests = all_or_told(digest, names, who="hash_contents")
    return combine(dict(zip(names, digests, strict=True)))


def combine(digests: Mapping[str, str]) -> dict[str, Any]:
    """{"sha256": over all files, "files": {name: sha256}}; names in order."""
    ordered = {name: digests[name] for name in sorted(digests)}
    lines = "".join(f"{digest}  {name}\n" for name, digest in ordered.items())
    return {"sha256": hashlib.sha256(lines.encode()).hexdigest(), "files": ordered}


_BYTES: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        stat = path.stat()
    except OSError:  # gone; who reads it says so
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


@contextlib.contextmanager
def quiet_tfds() -> Iterator[None]:
    """Silences the bars and lines of tfds; errors still raise."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)
