"""Functions of each element."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from suites.campaign.operations import (
    FLOATS,
    FULL,
    INTEGERS,
    Long,
    Operation,
    call,
    exact,
    long,
    of_size_one,
    one,
    one_function,
    register,
    two,
)

INF = float("inf")


def in_double(function: Any) -> Any:
    """A function that SciPy has in float64 only: good for narrower types."""

    def truth(**arrays: Any) -> Any:
        return function(*[value.astype(np.float64) for value in arrays.values()])

    return truth


def of_its_argument(arrays: Any, truth: Any, options: Any, u: float) -> Any:
    """Of x times a function that is below one and the sum of two: ulps of one, times x."""
    x = np.abs(arrays["x"])
    return 32 * u * x


def of_denormal_factor(arrays: Any, truth: Any, options: Any, u: float) -> Any:
    """Of x times a sigmoid: the sigmoid's ulps, and 2^-125 where it is below the normal numbers."""
    return 32 * u * np.abs(truth) + 2.0**-125 * np.abs(arrays["x"])


def softplus(x: Any) -> Any:
    return np.logaddexp(x, Long(0))


def gelu(x: Any) -> Any:
    return x * special.ndtr(x)


def swish(x: Any) -> Any:
    return x * sigmoid(x)


def sigmoid(x: Any) -> Any:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


# name: NumPy, torch, JAX, TensorFlow, Keras, the domain
SMOOTH: dict[str, tuple[Any, str, str, str, str, tuple[float, float]]] = {
    "exp": (np.exp, "torch.exp", "jnp.exp", "tf.exp", "ops.exp", (-INF, INF)),
    "exp2": (np.exp2, "torch.exp2", "jnp.exp2", "", "ops.exp2", (-INF, INF)),
    "expm1": (np.expm1, "torch.expm1", "jnp.expm1", "tf.math.expm1", "ops.expm1", (-INF, INF)),
    "log": (np.log, "torch.log", "jnp.log", "tf.math.log", "ops.log", (0, INF)),
    "log2": (np.log2, "torch.log2", "jnp.log2", "", "ops.log2", (0, INF)),
    "log10": (np.log10, "torch.log10", "jnp.log10", "", "ops.log10", (0, INF)),
    "log1p": (np.log1p, "torch.log1p", "jnp.log1p", "tf.math.log1p", "ops.log1p", (-1, INF)),
    "sqrt": (np.sqrt, "torch.sqrt", "jnp.sqrt", "tf.sqrt", "ops.sqrt", (0, INF)),
    "rsqrt": (lambda x: 1 / np.sqrt(x), "torch.rsqrt", "lax.rsqrt", "tf.math.rsqrt", "ops.rsqrt", (0, INF)),
    "square": (np.square, "torch.square", "jnp.square", "tf.square", "ops.square", (-INF, INF)),
    "reciprocal": (lambda x: 1 / x, "torch.reciprocal", "jnp.reciprocal", "tf.math.reciprocal", "ops.reciprocal",
                   (-INF, INF)),
    "cbrt": (np.cbrt, "", "jnp.cbrt", "", "ops.cbrt", (-INF, INF)),
    "sin": (np.sin, "torch.sin", "jnp.sin", "tf.sin", "ops.sin", (-INF, INF)),
    "cos": (np.cos, "torch.cos", "jnp.cos", "tf.cos", "ops.cos", (-INF, INF)),
    "tan": (np.tan, "torch.tan", "jnp.tan", "tf.tan", "ops.tan", (-INF, INF)),
    "arcsin": (np.arcsin, "torch.asin", "jnp.arcsin", "tf.asin", "ops.arcsin", (-1, 1)),
    "arccos": (np.arccos, "torch.acos", "jnp.arccos", "tf.acos", "ops.arccos", (-1, 1)),
    "arctan": (np.arctan, "torch.atan", "jnp.arctan", "tf.atan", "ops.arctan", (-INF, INF)),
    "sinh": (np.sinh, "torch.sinh", "jnp.sinh", "tf.sinh", "ops.sinh", (-INF, INF)),
    "cosh": (np.cosh, "torch.cosh", "jnp.cosh", "tf.cosh", "ops.cosh", (-INF, INF)),
    "tanh": (np.tanh, "torch.tanh", "jnp.tanh", "tf.tanh", "ops.tanh", (-INF, INF)),
    "arcsinh": (np.arcsinh, "torch.asinh", "jnp.arcsinh", "tf.asinh", "ops.arcsinh", (-INF, INF)),
    "arccosh": (np.arccosh, "torch.acosh", "jnp.arccosh", "tf.acosh", "ops.arccosh", (1, INF)),
    "arctanh": (np.arctanh, "torch.atanh", "jnp.arctanh", "tf.atanh", "ops.arctanh", (-1, 1)),
    "deg2rad": (np.deg2rad, "torch.deg2rad", "jnp.deg2rad", "", "ops.deg2rad", (-INF, INF)),
    "sigmoid": (sigmoid, "torch.sigmoid", "jax.nn.sigmoid", "tf.sigmoid", "ops.sigmoid", (-INF, INF)),
    "softplus": (softplus, "F.softplus(x, 1.0, 50.0)", "jax.nn.softplus", "tf.math.softplus", "ops.softplus",
                 (-INF, INF)),
    "log_sigmoid": (lambda x: -softplus(-x), "F.logsigmoid", "jax.nn.log_sigmoid", "tf.math.log_sigmoid",
                    "ops.log_sigmoid", (-INF, INF)),
    "swish": (swish, "F.silu", "jax.nn.silu", "tf.nn.silu", "ops.silu", (-1e30, 1e30)),
    "softsign": (lambda x: x / (1 + np.abs(x)), "F.softsign", "jax.nn.soft_sign", "tf.nn.softsign", "ops.softsign",
                 (-1e30, 1e30)),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), "F.elu", "jax.nn.elu", "tf.nn.elu", "ops.elu",
            (-INF, INF)),
}  # fmt: skip

# Good in float64 alone, so judged in narrower types.
SPECIAL: dict[str, tuple[Any, str, str, str, str, tuple[float, float]]] = {
    "erf": (special.erf, "torch.erf", "lax.erf", "tf.math.erf", "ops.erf", (-INF, INF)),
    "erfc": (special.erfc, "torch.erfc", "lax.erfc", "tf.math.erfc", "", (-INF, INF)),
    "erfinv": (special.erfinv, "torch.erfinv", "lax.erf_inv", "tf.math.erfinv", "ops.erfinv", (-1, 1)),
    "lgamma": (special.gammaln, "torch.lgamma", "lax.lgamma", "tf.math.lgamma", "", (0.5, 1e4)),
    "digamma": (special.digamma, "torch.digamma", "lax.digamma", "tf.math.digamma", "", (0.5, 1e4)),
    "i0e": (special.i0e, "torch.special.i0e", "jax.scipy.special.i0e", "tf.math.bessel_i0e", "", (-1e4, 1e4)),
    "gelu": (gelu, "F.gelu", "jax.nn.gelu(x, approximate=False)", "tf.nn.gelu", "ops.gelu(x, approximate=False)",
             (-1e30, 1e30)),
    "sinc": (np.sinc, "torch.sinc", "jnp.sinc", "", "", (-30, 30)),
}  # fmt: skip

# Nothing is rounded.
STEPS: dict[str, tuple[Any, str, str, str, str, tuple[float, float]]] = {
    "abs": (np.abs, "torch.abs", "jnp.abs", "tf.abs", "ops.abs", (-INF, INF)),
    "sign": (np.sign, "torch.sign", "jnp.sign", "tf.sign", "ops.sign", (-INF, INF)),
    "floor": (np.floor, "torch.floor", "jnp.floor", "tf.floor", "ops.floor", (-INF, INF)),
    "ceil": (np.ceil, "torch.ceil", "jnp.ceil", "tf.math.ceil", "ops.ceil", (-INF, INF)),
    "round": (np.round, "torch.round", "jnp.round", "tf.round", "ops.round", (-INF, INF)),
    "trunc": (np.trunc, "torch.trunc", "jnp.trunc", "", "ops.trunc", (-INF, INF)),
    "negative": (np.negative, "torch.negative", "jnp.negative", "tf.negative", "ops.negative", (-INF, INF)),
    "relu": (lambda x: np.maximum(x, 0), "F.relu", "jax.nn.relu", "tf.nn.relu", "ops.relu", (-INF, INF)),
    "relu6": (lambda x: np.clip(x, 0, 6), "F.relu6", "jax.nn.relu6", "tf.nn.relu6", "ops.relu6", (-INF, INF)),
    "isnan": (np.isnan, "torch.isnan", "jnp.isnan", "tf.math.is_nan", "ops.isnan", (-INF, INF)),
    "isinf": (np.isinf, "torch.isinf", "jnp.isinf", "tf.math.is_inf", "ops.isinf", (-INF, INF)),
    "isfinite": (np.isfinite, "torch.isfinite", "jnp.isfinite", "tf.math.is_finite", "ops.isfinite", (-INF, INF)),
    "signbit": (np.signbit, "torch.signbit", "jnp.signbit", "", "ops.signbit", (-INF, INF)),
}

OWN_ERRORS = {"swish": of_denormal_factor}
for table, error, dtypes in ((SMOOTH, one_function, FLOATS), (STEPS, exact, FLOATS)):
    for name, (truth, torch, jax, tensorflow, keras, domain) in table.items():
        forms = call(torch, jax, tensorflow, keras)
        own = OWN_ERRORS.get(name, error)
        draw = one(low=domain[0], high=domain[1], fill="normal" if name == "signbit" else "")
        register(Operation(name, forms, long(truth), draw, own, dtypes, True))
for name, (truth, torch, jax, tensorflow, keras, domain) in SPECIAL.items():
    forms, draw = call(torch, jax, tensorflow, keras), one(low=domain[0], high=domain[1])
    error = of_size_one if name in ("lgamma", "digamma", "sinc") else one_function
    if name == "gelu":
        error = of_its_argument
    register(Operation(name, forms, in_double(truth), draw, error, ("float32", "float16", "bfloat16"), True))

BINARY: dict[str, tuple[Any, str, str, str, str, Any]] = {
    "add": (np.add, "torch.add", "jnp.add", "tf.add", "ops.add", one_function),
    "subtract": (np.subtract, "torch.subtract", "jnp.subtract", "tf.subtract", "ops.subtract", one_function),
    "multiply": (np.multiply, "torch.multiply", "jnp.multiply", "tf.multiply", "ops.multiply", one_function),
    "maximum": (np.maximum, "torch.maximum", "jnp.maximum", "tf.maximum", "ops.maximum", exact),
    "minimum": (np.minimum, "torch.minimum", "jnp.minimum", "tf.minimum", "ops.minimum", exact),
    "hypot": (np.hypot, "torch.hypot", "jnp.hypot", "", "ops.hypot", one_function),
    "arctan2": (np.arctan2, "torch.atan2", "jnp.arctan2", "tf.atan2", "ops.arctan2", one_function),
    "logaddexp": (np.logaddexp, "torch.logaddexp", "jnp.logaddexp", "", "ops.logaddexp", of_size_one),
    "logaddexp2": (np.logaddexp2, "torch.logaddexp2", "jnp.logaddexp2", "", "ops.logaddexp2", of_size_one),
    "squared_difference": (lambda x, y: (x - y) ** 2, "", "", "tf.math.squared_difference", "", one_function),
    "greater": (np.greater, "torch.greater", "jnp.greater", "tf.greater", "ops.greater", exact),
    "equal": (np.equal, "torch.eq", "jnp.equal", "tf.equal", "ops.equal", exact),
    "copysign": (np.copysign, "torch.copysign", "jnp.copysign", "", "", exact),
    "fmax": (np.fmax, "torch.fmax", "jnp.fmax", "", "", exact),
    "nextafter": (None, "torch.nextafter", "jnp.nextafter", "tf.math.nextafter", "ops.nextafter", exact),
    "heaviside": (np.heaviside, "torch.heaviside", "jnp.heaviside", "", "ops.heaviside", exact),
}
for name, (truth, torch, jax, tensorflow, keras, error) in BINARY.items():
    if truth is None:
        continue
    forms = call(torch, jax, tensorflow, keras, given="x, y")
    draw = two(fill="wide" if name == "copysign" else "")  # the sign of a NaN means nothing
    register(Operation(name, forms, long(truth), draw, error, FLOATS))


def in_its_type(function: Any) -> Any:
    """Floats as they are, integers in the type that is asked, with its wrap-around."""

    def truth(x: Any, y: Any, dtype: str) -> Any:
        return integer(function)(x=x, y=y, dtype=dtype) if dtype[0] in "iu" else function(x, y)

    return truth


def integer(function: Any) -> Any:
    """Integer arithmetic in the type that is asked, with its wrap-around."""

    def truth(dtype: str, **arrays: Any) -> Any:
        found = function(*[value.astype(dtype) for value in arrays.values()])
        return found.astype(np.int64)

    return truth


register(
    Operation(
        "divide",
        call("torch.divide", "jnp.divide", "tf.divide", "ops.divide", given="x, y"),
        long(np.divide),
        two(nonzero=True),
    )
)
register(
    Operation(
        "floor_divide",
        call("torch.floor_divide", "jnp.floor_divide", "tf.math.floordiv", "ops.floor_divide", given="x, y"),
        in_its_type(np.floor_divide),
        two(nonzero=True, fill="integers"),
        exact,
        (*FULL, *INTEGERS),
    )
)
register(
    Operation(
        "mod",
        call("torch.remainder", "jnp.mod", "tf.math.floormod", "ops.mod", given="x, y"),
        in_its_type(np.mod),
        two(nonzero=True, fill="integers"),
        exact,
        (*FULL, *INTEGERS),
    )
)
register(
    Operation(
        "fmod",
        call("torch.fmod", "jnp.fmod", "", "", given="x, y"),
        in_its_type(np.fmod),
        two(nonzero=True, fill="integers"),
        exact,
        (*FULL, *INTEGERS),
    )
)
register(
    Operation(
        "power",
        call("torch.pow", "jnp.power", "tf.pow", "ops.power", given="x, y"),
        long(np.power),
        two(positive=True, fill="normal"),
        one_function,
        FULL,
    )
)


OF_INTEGERS: dict[str, tuple[Any, str, str, str, str]] = {
    "add_int": (np.add, "torch.add", "jnp.add", "tf.add", "ops.add"),
    "multiply_int": (np.multiply, "torch.multiply", "jnp.multiply", "tf.multiply", "ops.multiply"),
    "abs_int": (np.abs, "torch.abs(x)", "jnp.abs(x)", "tf.abs(x)", "ops.abs(x)"),
    "sign_int": (np.sign, "torch.sign(x)", "jnp.sign(x)", "tf.sign(x)", "ops.sign(x)"),
    "square_int": (np.square, "torch.square(x)", "jnp.square(x)", "tf.square(x)", "ops.square(x)"),
    "maximum_int": (np.maximum, "torch.maximum", "jnp.maximum", "tf.maximum", "ops.maximum"),
    "bitwise_and": (np.bitwise_and, "torch.bitwise_and", "jnp.bitwise_and", "tf.bitwise.bitwise_and",
                    "ops.bitwise_and"),
    "bitwise_xor": (np.bitwise_xor, "torch.bitwise_xor", "jnp.bitwise_xor", "tf.bitwise.bitwise_xor",
                    "ops.bitwise_xor"),
    "invert": (np.invert, "torch.bitwise_not(x)", "jnp.invert(x)", "tf.bitwise.invert(x)", "ops.bitwise_not(x)"),
    "gcd": (np.gcd, "torch.gcd", "jnp.gcd", "", "ops.gcd"),
    "lcm": (np.lcm, "torch.lcm", "jnp.lcm", "", "ops.lcm"),
}  # fmt: skip
for name, (truth, torch, jax, tensorflow, keras) in OF_INTEGERS.items():
    unary = torch.endswith(")")
    forms = call(torch, jax, tensorflow, keras, given="x, y")
    register(Operation(name, forms, integer(truth), one() if unary else two(), exact, INTEGERS))


def shifts(rng: np.random.Generator, dtype: str) -> Any:
    """Numbers, and places that are fewer than the type has bits."""
    arrays, options = two()(rng, dtype)
    bits = np.iinfo(dtype).bits
    return {"x": arrays["x"], "y": np.abs(arrays["y"]) % bits}, options


register(
    Operation(
        "left_shift",
        call("torch.bitwise_left_shift", "jnp.left_shift", "tf.bitwise.left_shift", "ops.left_shift", given="x, y"),
        integer(np.left_shift),
        shifts,
        exact,
        INTEGERS,
    )
)
register(
    Operation(
        "right_shift",
        call("torch.bitwise_right_shift", "jnp.right_shift", "tf.bitwise.right_shift", "ops.right_shift", given="x, y"),
        integer(np.right_shift),
        shifts,
        exact,
        INTEGERS,
    )
)
