from vae_jax.software import versions


def test_versions_name_the_software_and_the_device():
    assert {"python", "jax", "flax", "device"} <= versions().keys()


def test_what_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr("vae_jax.software._PACKAGES", ("jax", "no-such-package"))
    found = versions()
    assert "jax" in found
    assert "no-such-package" not in found
