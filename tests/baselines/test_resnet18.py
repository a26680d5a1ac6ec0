"""Facts about the fixed ResNet-18: it is PyTorch's, and reads its weights."""

import sys

import jax
import numpy as np
import pytest

from vae_jax.baselines import resnet18


@pytest.fixture(scope="module")
def weights():
    """Random, with norms that do something."""
    random = np.random.default_rng(0)
    weights = resnet18.random_weights(seed=0)
    for values in weights.values():
        if values.ndim == 1:
            values += random.uniform(-0.3, 0.3, values.shape).astype(np.float32)
    return weights


def torch_features(weights, images):
    """The published network, written in PyTorch from its description."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    tensors = {name: torch.from_numpy(values) for name, values in weights.items()}

    def layer(x, convolution, norm, stride):
        kernel = tensors[f"{convolution}.weight"]
        x = functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        names = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(tensors[f"{norm}.{name}"] for name in names))

    x = torch.from_numpy(images).permute(0, 3, 1, 2).expand(-1, 3, -1, -1)
    x = x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    x = x / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    x = layer(x, "conv1", "bn1", 2).relu()
    x = functional.max_pool2d(x, 3, 2, 1)
    for stage, block in np.ndindex(4, 2):
        name = f"layer{stage + 1}.{block}"
        stride = 2 if stage > 0 and block == 0 else 1
        branch = layer(x, f"{name}.conv1", f"{name}.bn1", stride).relu()
        branch = layer(branch, f"{name}.conv2", f"{name}.bn2", 1)
        if stride == 2:
            x = layer(x, f"{name}.downsample.0", f"{name}.downsample.1", 2)
        x = (x + branch).relu()
    return x.mean((2, 3)).numpy()


@pytest.mark.parametrize(("size", "channels"), [(16, 1), (16, 3), (33, 3), (64, 1)])
def test_the_features_are_those_of_pytorch(weights, size, channels):
    images = np.random.default_rng(1).random((3, size, size, channels), np.float32)
    network = resnet18.build(weights, image_size=size)
    ours = jax.jit(resnet18.features)(network, images)
    assert ours.shape == (3, 512)
    theirs = torch_features(weights, images)
    assert theirs.std() > 0.1
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_it_has_the_published_number_of_weights():
    shapes = resnet18.weight_shapes()
    trained = [s for name, s in shapes.items() if "running" not in name]
    # All 11,689,512 but the classifier's.
    assert sum(map(np.prod, trained)) == 11_689_512 - 512 * 1000 - 1000


def test_random_weights_keep_the_scale_of_activations():
    weights = resnet18.random_weights(seed=1)
    kernel = weights["layer4.1.conv2.weight"]
    np.testing.assert_allclose(kernel.std(), (2 / (9 * 512)) ** 0.5, rtol=0.01)
    np.testing.assert_array_equal(weights["bn1.running_var"], np.ones(64))
    np.testing.assert_array_equal(weights["bn1.running_mean"], np.zeros(64))
    again, other = (resnet18.random_weights(seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(again["conv1.weight"], weights["conv1.weight"])
    assert not np.array_equal(other["conv1.weight"], weights["conv1.weight"])


@pytest.fixture(params=[".npz", ".safetensors"])
def save(request, tmp_path):
    """`save(weights)` writes them, with entries of no use, and returns where."""
    path = tmp_path / f"resnet18{request.param}"

    def write(weights):
        more = {"fc.bias": np.zeros(1000), "bn1.num_batches_tracked": np.array(7)}
        if request.param == ".npz":
            np.savez(path, **weights, **more)
        else:
            pytest.importorskip("safetensors.numpy").save_file(weights | more, path)
        return path

    return write


def test_weights_come_back_from_their_file(weights, save):
    halves = {name: values.astype(np.float16) for name, values in weights.items()}
    loaded = resnet18.load_weights(save(halves))
    assert loaded.keys() == weights.keys()
    for name, values in loaded.items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, halves[name])


def test_a_missing_or_misshapen_array_is_named(weights, save):
    name = "layer3.0.downsample.0.weight"
    others = {key: values for key, values in weights.items() if key != name}
    message = rf"must hold {name} of shape \(256, 128, 1, 1\), got none; .*resnet18"
    with pytest.raises(ValueError, match=message):
        resnet18.load_weights(save(others))
    with pytest.raises(ValueError, match=r"got \(256, 128, 3, 3\); "):
        resnet18.load_weights(save(others | {name: np.zeros((256, 128, 3, 3))}))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_broken_file_is_one_line(tmp_path, suffix):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(b"not weights at all")
    with pytest.raises(ValueError, match=rf"^load_weights: .* is no {suffix} file .*$"):
        resnet18.load_weights(path)


def test_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"resnet18.pth must end in .safetensors or"):
        resnet18.load_weights(tmp_path / "resnet18.pth")


def test_without_safetensors_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"install safetensors, or give an \.npz\.$"):
        resnet18.load_weights(tmp_path / "resnet18.safetensors")
