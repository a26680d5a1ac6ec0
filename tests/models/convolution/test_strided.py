"""Both directions against XLA's convolution, PyTorch, and the definition of adjoint."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vae_jax.models.convolution import conv, conv_transpose

# (kernel, stride, padding, image size, channels, out). Few and many channels take
# different programs; so do more channels out than in, images of more than 2048
# positions, kernels of no whole number of strides or of a single one, and kernels as
# large as the image.
GEOMETRIES = [
    ((4, 4), 2, 1, (8, 6), 1, 3),
    ((4, 4), 2, 1, (7, 9), 32, 2),
    ((5, 5), 2, 1, (9, 7), 33, 3),
    ((3, 3), 1, 1, (5, 6), 32, 32),
    ((3, 3), 2, 1, (6, 7), 3, 32),
    ((3, 3), 2, 1, (7, 6), 34, 1),
    ((1, 1), 2, 0, (6, 5), 32, 4),
    ((4, 5), 3, 0, (12, 11), 32, 1),
    ((2, 2), 1, 2, (6, 5), 32, 2),
    ((3, 2), 1, 1, (80, 60), 32, 1),
    ((4, 3), 1, 0, (4, 3), 2, 5),
    ((5, 3), 2, 1, (81, 70), 12, 1),
    ((4, 5), 3, 2, (49, 44), 34, 1),
    ((4, 4), 2, 1, (7, 9), 1, 4),
    ((6, 3), 3, 1, (8, 10), 5, 6),
    ((2, 2), 2, 0, (6, 5), 3, 2),
    ((4, 4), 2, 1, (7, 9), 32, 33),
    ((6, 4), 2, 1, (8, 9), 32, 2),
    ((2, 4), 2, 1, (3, 3), 32, 32),
    ((4, 4), 4, 0, (9, 9), 33, 32),
]


def plain_conv(images, kernel, *, stride, padding):
    return lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        [(padding, padding)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def plain_conv_transpose(features, kernel, *, stride, padding):
    """The definition, entry by entry of the kernel: o = i stride - padding + k."""
    batch, height, width, _ = features.shape
    kernel_height, kernel_width, _, out = kernel.shape
    rows = (height - 1) * stride + kernel_height
    columns = (width - 1) * stride + kernel_width
    total = jnp.zeros((batch, rows, columns, out), features.dtype)
    for i in range(kernel_height):
        for j in range(kernel_width):
            last = i + (height - 1) * stride + 1, j + (width - 1) * stride + 1
            total = total.at[:, i : last[0] : stride, j : last[1] : stride].add(
                features @ kernel[i, j]
            )
    return total[:, padding : rows - padding, padding : columns - padding]


PAIRS = [(conv, plain_conv), (conv_transpose, plain_conv_transpose)]
both = pytest.mark.parametrize(("ours", "plain"), PAIRS, ids=["conv", "transpose"])
all_geometries = pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)


def example(geometry, *, seed=0):
    """Images, kernel and the keyword arguments of one geometry."""
    kernel_size, stride, padding, size, channels, out = geometry
    images_key, kernel_key = jax.random.split(jax.random.key(seed))
    images = jax.random.normal(images_key, (2, *size, channels))
    kernel = jax.random.normal(kernel_key, (*kernel_size, channels, out))
    return images, kernel, {"stride": stride, "padding": padding}


def gradients(function, images, kernel):
    """The two first derivatives of a nonlinear scalar of the output."""
    return jax.grad(lambda *a: jnp.sin(function(*a)).sum(), (0, 1))(images, kernel)


def assert_close(ours, plain, *, relative=1e-5):
    """Compared on the scale of the largest entry: sums cancel."""
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        b = np.asarray(b, np.float64)
        atol = relative * max(1.0, float(np.abs(b).max()))
        np.testing.assert_allclose(np.asarray(a, np.float64), b, rtol=0, atol=atol)


@both
@all_geometries
def test_value_and_first_derivatives_are_those_of_the_plain_form(ours, plain, geometry):
    images, kernel, options = example(geometry)

    def value_and_gradients(function):
        f = functools.partial(function, **options)
        return jax.jit(lambda x, k: (f(x, k), gradients(f, x, k)))(images, kernel)

    assert_close(value_and_gradients(ours), value_and_gradients(plain))


@both
@pytest.mark.parametrize("geometry", [GEOMETRIES[i] for i in (1, 4, 6, 16)], ids=str)
def test_second_derivatives_are_those_of_the_plain_form(ours, plain, geometry):
    images, kernel, options = example(geometry)

    def second(function):
        def norm(x, k):
            dx, dk = gradients(functools.partial(function, **options), x, k)
            # Distinct forms, so that neither gradient can stand in for the other.
            return (jnp.square(dx).sum() + 3 * jnp.sin(dk).sum()) / dx.size

        return jax.jit(jax.grad(norm, (0, 1)))(images, kernel)

    assert_close(second(ours), second(plain), relative=3e-5)


@pytest.mark.parametrize("geometry", [GEOMETRIES[i] for i in (0, 2, 3, 8)], ids=str)
def test_each_is_the_adjoint_of_the_other_where_strides_fill_the_image(geometry):
    images, kernel, options = example(geometry)
    features = conv(images, kernel, **options)
    drawn = jax.random.normal(jax.random.key(7), features.shape)
    back = conv_transpose(drawn, kernel.swapaxes(2, 3), **options)
    scale = jnp.linalg.norm(features) * jnp.linalg.norm(drawn)
    np.testing.assert_allclose(
        jnp.vdot(features, drawn) / scale, jnp.vdot(images, back) / scale, atol=1e-6
    )


def test_a_kernel_larger_than_the_images_is_refused():
    images, kernel = jnp.ones((1, 2, 5, 1)), jnp.ones((5, 4, 1, 1))
    wanted = (
        r"^conv: the kernel must fit into the images, got \(5, 4\) for 2 x 5 pixels"
    )
    with pytest.raises(ValueError, match=wanted):
        conv(images, kernel, stride=2, padding=1)


def test_known_answer_of_the_transpose():
    features = jnp.array([1.0, 10.0]).reshape(1, 1, 2, 1)
    kernel = jnp.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1, 1)
    # 1 2 3 4 . . and . . 10 20 30 40, added; stride 2, nothing cut off.
    spread = conv_transpose(features, kernel, stride=2, padding=0)
    np.testing.assert_array_equal(spread.ravel(), [1, 2, 13, 24, 30, 40])


@both
@pytest.mark.parametrize("geometry", [GEOMETRIES[i] for i in (1, 4, 16)], ids=str)
def test_pull_back_under_vmap_is_one_pull_back_after_another(ours, plain, geometry):
    del plain
    images, kernel, options = example(geometry)
    outputs, pull_back = jax.vjp(functools.partial(ours, **options), images, kernel)
    cotangents = jax.random.normal(jax.random.key(5), (3, *outputs.shape))
    together = jax.jit(jax.vmap(pull_back))(cotangents)
    apart = [pull_back(cotangent) for cotangent in cotangents]
    assert_close(together, jax.tree.map(lambda *a: jnp.stack(a), *apart))


@both
def test_vmap_over_both_arguments(ours, plain):
    images, kernel, options = example(GEOMETRIES[1])
    kernel = kernel / 16  # sums of size 1: sines of large ones show mere rounding
    pairs = jnp.stack([images, -2 * images]), jnp.stack([kernel, kernel[::-1]])

    def mapped(function):
        f = functools.partial(function, **options)
        return jax.vmap(lambda x, k: (f(x, k), gradients(f, x, k)))(*pairs)

    assert_close(mapped(ours), mapped(plain))


@both
@pytest.mark.parametrize("argument", [0, 1])
def test_a_derivative_by_one_factor_takes_one_more_convolution(ours, plain, argument):
    del plain
    # One for which no platform has a form of its own: a program holds those of all.
    images, kernel, options = example(((3, 3), 1, 1, (5, 6), 5, 4))
    derivative = jax.grad(lambda *a: ours(*a, **options).sum(), argument)
    program = str(jax.make_jaxpr(derivative)(images, kernel))
    assert program.count("= conv_general_dilated[") == 2


@both
@pytest.mark.parametrize("geometry", [GEOMETRIES[i] for i in (1, 3, 16)], ids=str)
def test_image_gradients_need_not_know_the_number_of_images(ours, plain, geometry):
    del plain
    images, kernel, options = example(geometry)

    @jax.jit
    @jax.vmap
    @jax.grad
    def gradient(image):
        return jnp.sin(ours(image[None], kernel, **options)).sum()

    shape = *export.symbolic_shape("batch"), *images.shape[1:]
    any_number = jax.ShapeDtypeStruct(shape, images.dtype)
    # Exported for several platforms, a program keeps what no result needs.
    exported = export.export(gradient, platforms=("cpu", "cuda"))(any_number)
    assert_close(exported.call(images), gradient(images))


@both
@pytest.mark.parametrize("geometry", [GEOMETRIES[i] for i in (1, 16)], ids=str)
def test_push_forward_is_the_transpose_of_the_pull_back(ours, plain, geometry):
    images, kernel, options = example(geometry)
    direction = jnp.ones_like(images)
    outputs, pull_back = jax.vjp(lambda x: ours(x, kernel, **options), images)
    (pushed,) = jax.vjp(lambda u: pull_back(u)[0], jnp.zeros_like(outputs))[1](
        direction
    )
    assert_close(pushed, plain(direction, kernel, **options))


@both
@pytest.mark.parametrize("geometry", [GEOMETRIES[i] for i in (0, 1, 16)], ids=str)
def test_bfloat16_stays_bfloat16_and_near_float32(ours, plain, geometry):
    images, kernel, options = example(geometry)
    images, kernel = images.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)

    def linear_gradients(function, *arguments):
        outputs, pull_back = jax.vjp(functools.partial(function, **options), *arguments)
        return outputs, *pull_back(jnp.ones_like(outputs))

    half = linear_gradients(ours, images, kernel)
    assert all(x.dtype == jnp.bfloat16 for x in half)
    wide = linear_gradients(
        plain, images.astype(jnp.float32), kernel.astype(jnp.float32)
    )
    # One rounding of the result is 2**-9: sums inside are not kept in bfloat16.
    assert_close([x.astype(jnp.float32) for x in half], wide, relative=2**-8)


@both
@pytest.mark.parametrize("geometry", [GEOMETRIES[i] for i in (1, 4, 16)], ids=str)
def test_float64_keeps_its_digits(ours, plain, geometry):
    with jax.enable_x64(True):
        images, kernel, options = jax.tree.map(
            lambda x: x.astype(jnp.float64) if isinstance(x, jax.Array) else x,
            example(geometry),
        )
        found, expected = (
            gradients(functools.partial(f, **options), images, kernel)
            for f in (ours, plain)
        )
        assert_close(found, expected, relative=1e-13)


@both
@pytest.mark.parametrize("geometry", [GEOMETRIES[i] for i in (1, 3, 16)], ids=str)
def test_batch_split_over_devices_changes_nothing(ours, plain, geometry):
    del plain
    images, kernel, options = example(geometry)
    kernel = kernel / 16  # sums of size 1: sines of large ones show mere rounding
    images = jnp.tile(images, (len(jax.devices()), 1, 1, 1))
    mesh = Mesh(np.array(jax.devices()), ("data",))
    split = jax.device_put(images, NamedSharding(mesh, PartitionSpec("data")))
    whole = jax.device_put(kernel, NamedSharding(mesh, PartitionSpec()))
    step = jax.jit(functools.partial(gradients, functools.partial(ours, **options)))
    assert_close(
        jax.device_get(step(split, whole)), jax.device_get(step(images, kernel))
    )


@both
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_pytorch_computes_the_same(ours, plain, geometry):
    del plain
    torch = pytest.importorskip("torch")
    images, kernel, options = example(geometry)
    outputs, pull_back = jax.vjp(functools.partial(ours, **options), images, kernel)
    cotangent = jnp.cos(outputs)
    functional = torch.nn.functional
    theirs, order = {
        conv: (functional.conv2d, (3, 2, 0, 1)),
        conv_transpose: (functional.conv_transpose2d, (2, 3, 0, 1)),
    }[ours]

    def tensor(array, axes):
        return torch.tensor(np.array(array.transpose(axes)))

    x = tensor(images, (0, 3, 1, 2)).requires_grad_()
    k = tensor(kernel, order).requires_grad_()
    y = theirs(x, k, **options)
    y.backward(tensor(cotangent, (0, 3, 1, 2)))
    grads = pull_back(cotangent)
    assert_close(outputs.transpose(0, 3, 1, 2), y.detach().numpy())
    assert_close(grads[0].transpose(0, 3, 1, 2), x.grad.numpy())
    assert_close(grads[1].transpose(order), k.grad.numpy())
