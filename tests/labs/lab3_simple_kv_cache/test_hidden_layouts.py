"""What layouts.py promises, for any sizes and every pair of layouts.

The oracles are `einsum`, which names axes, and a walk through memory that counts stretches.
"""

from __future__ import annotations

import re
from itertools import groupby, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.exercise("layouts")

NAMES = ("BHSD", "BSHD", "HBSD")
PAIRS = list(product(NAMES, NAMES))
SIZES = st.fixed_dictionaries(dict.fromkeys("BHSD", st.integers(1, 4)))
DTYPES = st.sampled_from(["float64", "float32", "float16", "int8", "complex64"])


def layout(lab: Any, name: str) -> Any:
    return getattr(lab.Layout, name)


def numbered(name: str, sizes: dict[str, int], dtype: str = "float64") -> np.ndarray:
    """An array in the layout `name` in which no two numbers are equal."""
    shape = [sizes[axis] for axis in name]
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def in_order(array: np.ndarray, source: str, target: str) -> np.ndarray:
    """The array with its axes in another order. `einsum` is told their names, so nothing need be looked up."""
    return np.ascontiguousarray(np.einsum(f"{source}->{target}", array))


@pytest.mark.weight(3)
@given(sizes=SIZES, dtype=DTYPES)
@settings(max_examples=8)
def test_every_number_moves_to_its_place_in_memory(lab: Any, sizes: dict[str, int], dtype: str) -> None:
    """From each layout to each other: the axes are the target's, the numbers lie in their order, the dtype stays."""
    for source, target in PAIRS:
        array = numbered(source, sizes, dtype)
        moved = lab.keep(lab.to_layout, array, layout(lab, source), layout(lab, target))
        expected, found = in_order(array, source, target), lab.fetch(moved)
        occasion = f"from {source} to {target}"
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype), occasion
        assert np.array_equal(found, expected), occasion
        assert np.array_equal(lab.given("numpy", "ravel")(moved, order="K"), expected.ravel()), occasion
        assert lab.probe("is_contiguous", moved), occasion


@given(route=st.lists(st.sampled_from(NAMES), min_size=3, max_size=5), sizes=SIZES)
@settings(max_examples=20)
def test_a_detour_changes_nothing(lab: Any, route: list[str], sizes: dict[str, int]) -> None:
    """Through any number of layouts and back again, not one bit changes."""
    array = np.random.default_rng(0).standard_normal([sizes[axis] for axis in route[0]])
    found = array
    for source, target in zip(route, [*route[1:], route[0]], strict=True):
        found = lab.to_layout(found, layout(lab, source), layout(lab, target))
    assert found.tobytes() == array.tobytes()


def test_the_result_is_a_new_array(lab: Any) -> None:
    """Nothing written into the result shows in what was given, even where the two layouts are the same."""
    for source, target in PAIRS:
        array = numbered(source, {"B": 2, "H": 3, "S": 4, "D": 5})
        held = lab.hold(array.copy())
        moved = lab.keep(lab.to_layout, held, layout(lab, source), layout(lab, target))
        assert not lab.probe("shares_memory", moved, held), f"from {source} to {target}"
        moved[...] = -1
        assert np.array_equal(lab.fetch(held), array), f"from {source} to {target}"


def test_a_view_will_do(lab: Any) -> None:
    """An array that lies in memory in another order than its axes say, or with gaps, is read by its axes."""
    array = numbered("BHSD", {"B": 2, "H": 6, "S": 4, "D": 5})
    held = lab.hold(array)
    turned = lab.keep(lab.given("numpy", "swapaxes"), held, 1, 2)
    every_other = lab.keep(lab.given("shared.probes", "part"), held, (slice(None), slice(None, None, 2)))
    for view, source, expected in ((turned, "BSHD", array), (every_other, "BHSD", array[:, ::2])):
        assert not lab.probe("is_contiguous", view)
        moved = lab.keep(lab.to_layout, view, layout(lab, source), layout(lab, "BHSD"))
        assert np.array_equal(lab.fetch(moved), expected)
        assert lab.probe("is_contiguous", moved)


def stretches(name: str, sizes: dict[str, int], fixed: str) -> set[int]:
    """Walk through memory, and measure each stretch that belongs to one index of the fixed axis, for each index."""
    indices = np.indices([sizes[axis] for axis in name])[name.index(fixed)].ravel()
    runs = ((belongs, len(list(run))) for index in range(sizes[fixed]) for belongs, run in groupby(indices == index))
    return {length for belongs, length in runs if belongs}


@pytest.mark.parametrize("name", NAMES)
@given(sizes=SIZES, itemsize=st.sampled_from([1, 2, 4, 8]), fixed=st.sampled_from("HSBD"))
@settings(max_examples=25)
def test_a_stretch_is_as_long_as_a_walk_through_memory_finds(
    lab: Any, name: str, sizes: dict[str, int], itemsize: int, fixed: str
) -> None:
    """For any sizes, numbers of 1 to 8 bytes, and one index taken on any axis: a single head, too, which nothing interrupts."""
    (length,) = stretches(name, sizes, fixed)
    found = lab.contiguous_run_bytes(layout(lab, name), *(sizes[axis] for axis in "BHSD"), itemsize, fixed)
    assert type(found) is int
    assert found == length * itemsize


def test_what_has_no_layout_is_refused(lab: Any) -> None:
    """Three axes, a size of 0, half a token, an axis that is none: a ValueError with what was given, beside calls that are right."""
    bhsd, bshd = layout(lab, "BHSD"), layout(lab, "BSHD")
    assert lab.contiguous_run_bytes(bhsd, 1, 1, 1, 1, 1) == 1
    for place, size in product(range(5), (0, -2, 2.5)):
        sizes: list[Any] = [2, 4, 8, 16, 2]
        sizes[place] = size
        with pytest.raises(ValueError, match=re.escape(str(size))):
            lab.contiguous_run_bytes(bhsd, *sizes)
    with pytest.raises(ValueError, match="X"):
        lab.contiguous_run_bytes(bhsd, 2, 4, 8, 16, 2, "X")
    assert lab.to_layout(np.zeros((2, 3, 4, 5)), bhsd, bshd).shape == (2, 4, 3, 5)
    for shape in ((2, 3, 4), (2, 3, 4, 5, 6)):
        with pytest.raises(ValueError, match=re.escape(str(shape))):
            lab.to_layout(np.zeros(shape), bhsd, bshd)
