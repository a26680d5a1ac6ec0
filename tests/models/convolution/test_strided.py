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


def drawn_like(function, *arguments, seed=5):
    """Numbers in the shapes of what the function would give."""
    shapes = jax.tree.leaves(jax.eval_shape(function, *arguments))
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    pairs = zip(keys, shapes, strict=True)
    return tuple(jax.random.normal(key, x.shape, x.dtype) for key, x in pairs)


@both
@all_geometries
def test_value_and_first_derivatives_are_those_of_the_plain_form(
    ours, plain, geometry, sums
):
    images, kernel, options = example(geometry)
    ours, plain = (functools.partial(f, **options) for f in (ours, plain))
    arguments = images, kernel, *drawn_like(plain, images, kernel)
    found = sums.first(ours)(*arguments)
    sums.check(found, sums.first(plain), *arguments)


@both
@pytest.mark.parametrize("geometry", [GEOMETRIES[i] for i in (1, 4, 6, 16)], ids=str)
def test_second_derivatives_are_those_of_the_plain_form(ours, plain, geometry, sums):
    images, kernel, options = example(geometry)
    ours, plain = (functools.partial(f, **options) for f in (ours, plain))
    arguments = images, kernel, *drawn_like(plain, images, kernel)
    arguments += drawn_like(lambda *x: x, images, kernel, seed=6)
    found = sums.second(ours)(*arguments)
    sums.check(found, sums.second(plain), *arguments)


@pytest.mark.parametrize("geometry", [GEOMETRIES[i] for i in (0, 2, 3, 8)], ids=str)
def test_each_is_the_adjoint_of_the_other_where_strides_fill_the_image(geometry, sums):
    images, kernel, options = example(geometry)
    (drawn,) = drawn_like(functools.partial(conv, **options), images, kernel)

    def adjoint(features, kernel):
        return conv_transpose(features, kernel.swapaxes(2, 3), **options)

    def pull_back(features, kernel):
        zeros = jnp.zeros(images.shape, kernel.dtype)
        _, back = jax.vjp(lambda x: plain_conv(x, kernel, **options), zeros)
        return back(features)

    sums.check(adjoint(drawn, kernel), pull_back, drawn, kernel)


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
def test_pull_back_under_vmap_is_one_pull_back_after_another(
    ours, plain, geometry, sums
):
    images, kernel, options = example(geometry)
    outputs, pull_back = jax.vjp(functools.partial(ours, **options), images, kernel)
    cotangents = jax.random.normal(jax.random.key(5), (3, *outputs.shape))
    found = jax.jit(jax.vmap(pull_back))(cotangents)

    @jax.jit
    def one_after_another(images, kernel, cotangents):
        _, back = jax.vjp(functools.partial(plain, **options), images, kernel)
        return jax.lax.map(back, cotangents)

    sums.check(found, one_after_another, images, kernel, cotangents)


@both
def test_vmap_over_both_arguments(ours, plain, sums):
    images, kernel, options = example(GEOMETRIES[1])
    pairs = jnp.stack([images, -2 * images]), jnp.stack([kernel, kernel[::-1]])
    ours, plain = (functools.partial(f, **options) for f in (ours, plain))
    arguments = *pairs, *drawn_like(jax.vmap(plain), *pairs)
    found = jax.vmap(sums.first(ours))(*arguments)
    sums.check(found, jax.vmap(sums.first(plain)), *arguments)


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
def test_image_gradients_need_not_know_the_number_of_images(
    ours, plain, geometry, sums
):
    images, kernel, options = example(geometry)

    def gradient(function, kernel, images):
        def of_one(image):
            outputs = function(image[None], kernel, **options)
            return jnp.vdot(jnp.ones_like(outputs), outputs)

        return jax.vmap(jax.grad(of_one))(images)

    shape = *export.symbolic_shape("batch"), *images.shape[1:]
    any_number = jax.ShapeDtypeStruct(shape, images.dtype)
    # Exported for several platforms, a program keeps what no result needs.
    program = jax.jit(functools.partial(gradient, ours, kernel))
    exported = export.export(program, platforms=("cpu", "cuda"))(any_number)
    sums.check(
        exported.call(images), functools.partial(gradient, plain), kernel, images
    )


@both
@pytest.mark.parametrize("geometry", [GEOMETRIES[i] for i in (1, 16)], ids=str)
def test_push_forward_is_the_transpose_of_the_pull_back(ours, plain, geometry, sums):
    images, kernel, options = example(geometry)
    direction = jnp.ones_like(images)
    outputs, pull_back = jax.vjp(lambda x: ours(x, kernel, **options), images)
    (pushed,) = jax.vjp(lambda u: pull_back(u)[0], jnp.zeros_like(outputs))[1](
        direction
    )
    sums.check(pushed, functools.partial(plain, **options), direction, kernel)


@both
@pytest.mark.parametrize("geometry", [GEOMETRIES[i] for i in (0, 1, 16)], ids=str)
@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_other_precisions_keep_their_digits(ours, plain, geometry, dtype, sums):
    """Sums of bfloat16 are rounded to it once, at the end."""
    images, kernel, options = example(geometry)
    with jax.enable_x64(True):
        images, kernel = images.astype(dtype), kernel.astype(dtype)
        cotangent = jnp.ones_like(plain(images, kernel, **options))
        first = sums.first(functools.partial(ours, **options))
        found = first(images, kernel, cotangent)
    assert all(x.dtype == dtype for x in found)
    exact = sums.first(functools.partial(plain, **options))
    sums.check(found, exact, images, kernel, cotangent)


@both
@pytest.mark.parametrize("geometry", [GEOMETRIES[i] for i in (1, 3, 16)], ids=str)
def test_batch_split_over_devices_changes_nothing(ours, plain, geometry, sums):
    images, kernel, options = example(geometry)
    images = jnp.tile(images, (len(jax.devices()), 1, 1, 1))
    ours, plain = (functools.partial(f, **options) for f in (ours, plain))
    arguments = images, kernel, *drawn_like(plain, images, kernel)
    mesh = Mesh(np.array(jax.devices()), ("data",))
    split, whole = (
        NamedSharding(mesh, PartitionSpec(*axes)) for axes in (["data"], [])
    )
    placed = map(jax.device_put, arguments, (split, whole, split))
    found = jax.device_get(sums.first(ours)(*placed))
    sums.check(found, sums.first(plain), *arguments)


@both
@all_geometries
def test_pytorch_computes_the_same(ours, plain, geometry, sums):
    del plain
    torch = pytest.importorskip("torch")
    images, kernel, options = example(geometry)
    functional = torch.nn.functional
    theirs, order = {
        conv: (functional.conv2d, (3, 2, 0, 1)),
        conv_transpose: (functional.conv_transpose2d, (2, 3, 0, 1)),
    }[ours]

    def in_torch(images, kernel, cotangent):
        def tensor(array, axes):
            return torch.tensor(np.array(array.transpose(axes)))

        x = tensor(images, (0, 3, 1, 2)).requires_grad_()
        k = tensor(kernel, order).requires_grad_()
        y = theirs(x, k, **options)
        y.backward(tensor(cotangent, (0, 3, 1, 2)))
        back = np.argsort(order)
        outputs = (y.detach(), (0, 2, 3, 1)), (x.grad, (0, 2, 3, 1)), (k.grad, back)
        return tuple(array.numpy().transpose(axes) for array, axes in outputs)

    ours = functools.partial(ours, **options)
    arguments = images, kernel, *drawn_like(ours, images, kernel)
    sums.check(sums.first(ours)(*arguments), in_torch, *arguments)
