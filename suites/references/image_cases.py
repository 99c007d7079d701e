"""Small models of layers of images: windows by every stride, padding and dilation."""

from __future__ import annotations

from typing import Any

from suites.references.case import Case, case, first, layer

# window, strides, padding, dilation, (height, width): pads on both sides, on one, on none; windows that do not reach
# the end; a stride beyond the window; windows that tile
WINDOWS: tuple[tuple[Any, Any, str, Any, tuple[int, int]], ...] = (
    (3, 1, "same", 1, (4, 5)),
    ((2, 3), 1, "valid", 1, (4, 5)),
    ((2, 3), 1, "same", 1, (3, 4)),
    (3, 2, "same", 1, (4, 5)),
    (2, 2, "valid", 1, (5, 4)),
    (2, 2, "same", 1, (4, 6)),
    (3, (2, 1), "same", 1, (5, 4)),
    (3, (1, 2), "valid", 1, (4, 6)),
    (1, 2, "same", 1, (4, 3)),
    (2, 1, "same", 2, (5, 4)),
    ((2, 3), 1, "valid", (2, 1), (5, 4)),
    (2, 3, "valid", 1, (6, 7)),
)


def extent(size: int, window: int, stride: int, dilation: int, padding: str) -> int:
    return len(range(0, size if padding == "same" else size - (window - 1) * dilation, stride))


def windowed() -> list[Case]:
    cases = []
    for window, strides, padding, dilation, size in WINDOWS:
        each = [(value, value) if isinstance(value, int) else value for value in (window, strides, dilation)]
        places = tuple(extent(size[a], each[0][a], each[1][a], each[2][a], padding) for a in (0, 1))
        told = f"of {window} by {strides}, {padding}, {dilation}"
        options: dict[str, Any] = {
            "kernel_size": window,
            "strides": strides,
            "padding": padding,
            "dilation_rate": dilation,
        }
        convolution = [first(2), layer("Conv2D", filters=3, **options)]
        cases.append(case(f"convolution {told}", convolution, (*size, 2), (*places, 3), 2))
        deep = [first(2), layer("DepthwiseConv2D", depth_multiplier=2, **options)]
        cases.append(case(f"depthwise {told}", deep, (*size, 2), (*places, 4), 2))
        if dilation == 1:
            pool: dict[str, Any] = {"pool_size": window, "strides": strides, "padding": padding}
            for kind in ("MaxPool2D", "AveragePool2D"):
                layers = [layer("Conv2D", "first", filters=2, kernel_size=1), layer(kind, **pool)]
                cases.append(case(f"{kind} {told}", layers, (*size, 2), (*places, 2), 2))
    return cases


def images() -> list[Case]:
    plain: dict[str, Any] = {"filters": 2, "kernel_size": 2}
    return [
        case("convolution as it comes", [first(2), layer("Conv2D", **plain)], (3, 4, 2), (2, 3, 2), 2),
        case(
            "convolution with relu and no bias",
            [layer("Conv2D", "first", activation="relu", use_bias=False, **plain), layer("Conv2D", **plain)],
            (4, 4, 1), (2, 2, 2), 1,
        ),
        case("depthwise as it comes", [first(2), layer("DepthwiseConv2D", kernel_size=2)], (3, 4, 2), (2, 3, 2), 2),
        case(
            "depthwise without bias",
            [first(2), layer("DepthwiseConv2D", kernel_size=2, use_bias=False, activation="tanh")],
            (3, 4, 2), (2, 3, 2), 1,
        ),
        case("max pool as it comes", [first(2), layer("MaxPool2D")], (4, 5, 2), (2, 2, 2), 2),
        case("average pool as it comes", [first(2), layer("AveragePool2D")], (5, 4, 2), (2, 2, 2), 2),
        case("global average", [first(2), layer("GlobalAveragePool2D")], (2, 3, 2), (2,), 2),
        case("a large image", [layer("Conv2D", filters=1, kernel_size=3, strides=2)], (92, 90, 4), (45, 44, 1), 1),
    ]  # fmt: skip
