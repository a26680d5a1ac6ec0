import hashlib

import numpy as np

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
