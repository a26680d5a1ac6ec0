import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.models.resnet import ResNetEncoder

ENCODER = ResNetEncoder(latents=3, channels=(4, 6))
IMAGES = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))
BLOCK = {"conv1", "relu1", "conv2", "relu2"}


@pytest.fixture(scope="module")
def variables():
    """Weights and running statistics, none of which is 0 or 1, that keep x alive."""
    initial = ENCODER.init(jax.random.key(1), IMAGES)
    random = np.random.default_rng(0)

    def moved(x, scale):
        return jnp.float32(scale) * (x + random.uniform(-0.3, 0.3, x.shape))

    return {
        "params": jax.tree.map(lambda x: moved(x, 1), initial["params"]),
        "batch_stats": jax.tree.map(lambda x: moved(x, 0.2), initial["batch_stats"]),
    }


def _zeros(variables):
    """Scalar zeros for all perturbations, and their shapes."""
    shapes = jax.eval_shape(
        lambda: ENCODER.apply(variables, IMAGES, mutable=["perturbations"])[1]
    )["perturbations"]
    return jax.tree.map(lambda _: jnp.zeros(()), shapes), shapes


def test_taps_read_as_paths(variables):
    _, shapes = _zeros(variables)
    assert {stage: set(blocks) for stage, blocks in shapes.items()} == {
        "stem": {"conv", "relu"},
        "stage1": {"block1", "block2"},
        "stage2": {"block1", "block2"},
    }
    assert set(shapes["stage1"]["block2"]) == BLOCK
    assert set(shapes["stage2"]["block1"]) == BLOCK
    assert set(shapes["stage2"]["block2"]) == BLOCK | {"relu2_channels"}
    assert shapes["stem"]["conv"].shape == (2, 8, 8, 4)
    assert shapes["stage1"]["block1"]["conv1"].shape == (2, 8, 8, 4)
    assert shapes["stage2"]["block2"]["relu2"].shape == (2, 4, 4, 6)
    assert shapes["stage2"]["block2"]["relu2_channels"].shape == (2, 6)


def test_channel_gradient_is_the_spatial_sum_of_the_full_gradient(variables):
    zeros, shapes = _zeros(variables)
    last = shapes["stage2"]["block2"]

    def score(perturbation, name):
        block = zeros["stage2"]["block2"] | {name: perturbation}
        perturbations = zeros | {"stage2": zeros["stage2"] | {"block2": block}}
        mean, logvar = ENCODER.apply(
            {**variables, "perturbations": perturbations}, IMAGES
        )
        return jnp.sum(mean**2) + jnp.sum(jnp.sin(logvar))

    full, by_channel = (
        jax.grad(score)(jnp.zeros(last[name].shape), name)
        for name in ("relu2", "relu2_channels")
    )
    assert jnp.abs(by_channel).max() > 1e-3
    np.testing.assert_allclose(by_channel, full.sum((1, 2)), rtol=1e-5, atol=1e-7)


def test_encoder_agrees_with_torch(variables, rounding):
    torch = pytest.importorskip("torch")
    params, stats = jax.tree.map(
        lambda x: torch.tensor(np.asarray(x, np.float64)),
        (variables["params"], variables["batch_stats"]),
    )

    def conv(x, scope, name, stride):
        kernel = scope[name]["kernel"].permute(3, 2, 0, 1)
        return torch.nn.functional.conv2d(
            x, kernel, stride=stride, padding=kernel.shape[-1] // 2
        )

    def norm(x, scope, running, name):
        return torch.nn.functional.batch_norm(
            x,
            running[name]["mean"],
            running[name]["var"],
            scope[name]["scale"],
            scope[name]["bias"],
        )

    def block(x, scope, running, stride):
        y = norm(conv(x, scope, "convolution1", stride), scope, running, "norm1")
        y = conv(y.relu(), scope, "convolution2", 1)
        y = norm(y, scope, running, "norm2")
        if "shortcut" in scope:
            x = conv(x, scope, "shortcut", stride)
            x = norm(x, scope, running, "shortcut_norm")
        return (x + y).relu()

    x = torch.tensor(np.asarray(IMAGES, np.float64)).permute(0, 3, 1, 2)
    x = conv(x, params["stem"], "convolution", 2)
    x = norm(x, params["stem"], stats["stem"], "norm").relu()
    for stage, stride in (("stage1", 1), ("stage2", 2)):
        x = block(x, params[stage]["block1"], stats[stage]["block1"], stride)
        x = block(x, params[stage]["block2"], stats[stage]["block2"], 1)
    assert (x > 0).float().mean() > 0.2
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), (variables, IMAGES))
        posterior = ENCODER.clone(dtype=jnp.float64).apply(*wide)
    pooled = x.mean((2, 3))
    for name, ours in posterior._asdict().items():
        kernel, bias = (params["heads"][name][part] for part in ("kernel", "bias"))
        size = (pooled.abs() @ kernel.abs() + bias.abs()).numpy()
        # Whatever the dtype, means over 4 x 4 pixels and sums over 6 are of float32.
        error = np.abs(ours - (pooled @ kernel + bias).numpy())
        np.testing.assert_array_less(error, rounding(size, 4 * 4 + 6 + 3))


def test_parameters_are_those_of_resnet18():
    """11,176,512 up to the classifier; a 3x3 stem of 64 x 3 for one of 7x7; heads."""
    shapes = jax.eval_shape(
        ResNetEncoder(latents=32).init, jax.random.key(0), jnp.zeros((1, 64, 64, 3))
    )
    count = sum(x.size for x in jax.tree.leaves(shapes["params"]))
    assert count == 11_176_512 - 40 * 3 * 64 + 2 * (512 + 1) * 32
