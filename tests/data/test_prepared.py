import errno
import hashlib
import os
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
