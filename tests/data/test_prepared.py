import errno
import hashlib
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from vae_jax.data import prepared


def stored(index):
    return {
        "image": bytes([index]),
        "mask": b"",
        "has_mask": np.bool_(index % 2),
        "defect": b"good",
        "path": f"{index}.png".encode(),
    }


def test_selected_records_come_in_the_order_asked_for():
    records = prepared.Records([stored(index) for index in range(5)])
    chosen = records.select(np.array([4, 0, 3]))
    assert len(chosen) == 3
    assert [chosen[i]["path"] for i in range(3)] == ["4.png", "0.png", "3.png"]
    twice = chosen.select(np.array([2]))
    assert twice[0] == records[3]
    assert twice[0]["has_mask"] is True


def test_hashes_are_of_contents_and_do_not_depend_on_the_order(tmp_path):
    files = {name: tmp_path / name for name in ("b", "a")}
    for name, path in files.items():
        path.write_text(name)
    found = prepared.hash_contents(files)
    assert list(found["files"]) == ["a", "b"]
    assert found["files"]["a"] == hashlib.sha256(b"a").hexdigest()
    assert prepared.hash_contents(dict(reversed(files.items()))) == found
    renamed = prepared.hash_contents({"b": files["a"], "a": files["b"]})
    assert renamed["sha256"] != found["sha256"]


@pytest.fixture
def files(tmp_path):
    made = {name: tmp_path / "first" / name for name in ("a", "b", "gone")}
    (tmp_path / "first").mkdir()
    for name in "ab":
        made[name].write_text(name)
    return made


def test_the_fingerprint_follows_every_file(files):
    seen = [prepared.fingerprint(files)]
    assert prepared.fingerprint(files) == seen[0]
    os.utime(files["b"], (1, 1))
    seen.append(prepared.fingerprint(files))
    seen.append(prepared.fingerprint({"a": files["a"]}))
    os.truncate(files["a"], 0)
    seen.append(prepared.fingerprint(files))
    assert len(set(seen)) == 4


def test_equal_names_sizes_and_times_do_not_make_files_equal(files, tmp_path):
    """In another folder, and of one that was replaced."""
    shutil.copytree(tmp_path / "first", tmp_path / "second")  # times, too
    moved = {name: tmp_path / "second" / name for name in files}
    seen = {prepared.fingerprint(files), prepared.fingerprint(moved)}
    times = files["a"].stat()
    (tmp_path / "new").write_text("A")
    os.utime(tmp_path / "new", ns=(times.st_atime_ns, times.st_mtime_ns))
    (tmp_path / "new").replace(files["a"])
    seen.add(prepared.fingerprint(files))
    assert len(seen) == 3


def test_a_name_that_is_not_utf_8_has_a_fingerprint(tmp_path):
    assert prepared.fingerprint({"\udcff.png": tmp_path / "\udcff.png"})


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (
            errno.ENOSPC,
            r"\(No space left on device\); free some space, or give another",
        ),
        (errno.EACCES, r"\(Permission denied\); give another prepared_dir"),
    ],
)
def test_space_is_asked_for_where_it_is_short(tmp_path, number, what):
    def refuse(**_):
        raise OSError(number, os.strerror(number))

    builder = SimpleNamespace(
        info=SimpleNamespace(splits={}), download_and_prepare=refuse
    )
    with pytest.raises(OSError, match=rf"cannot write set below {tmp_path} {what}"):
        prepared.prepare_once(
            lambda folder: builder, tmp_path / "final", name="set", manual_dir=tmp_path
        )
