"""Probes tell views from copies, of NumPy arrays and of tensors alike, and touch nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from shared import probes

MAKERS = {"numpy": lambda: np.arange(24.0).reshape(2, 3, 4), "torch": lambda: torch.arange(24.0).reshape(2, 3, 4)}


@pytest.fixture(params=MAKERS.values(), ids=MAKERS.keys())
def array(request: pytest.FixtureRequest) -> Any:
    """[2, 3, 4], contiguous."""
    make: Callable[[], Any] = request.param
    return make()


def copy_of(array: Any) -> Any:
    return array.copy() if isinstance(array, np.ndarray) else array.clone()


def test_a_view_shares_memory_and_a_copy_does_not(array: Any) -> None:
    assert probes.shares_memory(array[1], array)
    assert probes.shares_memory(array.swapaxes(0, 2), array)
    assert not probes.shares_memory(copy_of(array), array)
    assert not probes.shares_memory(copy_of(array[1]), array)


def test_views_of_different_parts_share_nothing(array: Any) -> None:
    """Their last and first byte touch, but no byte is in both."""
    assert not probes.shares_memory(array[0], array[1])
    assert probes.shares_memory(array[0, 1:], array[0, :2])


def test_interleaved_views_count_as_sharing(array: Any) -> None:
    """Stated in the docstring: the stretches are compared, not the elements."""
    assert probes.shares_memory(array[:, :, 0::2], array[:, :, 1::2])


def test_an_empty_view_shares_nothing_and_lies_anywhere(array: Any) -> None:
    assert not probes.shares_memory(array[:0], array)
    assert probes.is_view_of(array[:0], array)


def test_a_view_lies_within_the_whole_and_not_the_other_way_round(array: Any) -> None:
    assert probes.is_view_of(array[1, :2], array)
    assert probes.is_view_of(array, array)
    assert not probes.is_view_of(array, array[1, :2])
    assert not probes.is_view_of(copy_of(array)[1, :2], array)


def test_a_broadcast_view_spans_what_it_repeats() -> None:
    row = torch.arange(4.0)
    assert probes.is_view_of(row.expand(3, 4), row)
    assert probes.is_view_of(np.broadcast_to(np.arange(4.0), (3, 4)), (whole := np.arange(4.0))) is False
    assert probes.is_view_of(np.broadcast_to(whole, (3, 4)), whole)


def test_numpy_and_torch_share_what_they_really_share() -> None:
    array = np.arange(6.0)
    assert probes.shares_memory(torch.from_numpy(array), array)
    assert not probes.shares_memory(torch.tensor(array), array)


def test_an_address_moves_with_the_first_element(array: Any) -> None:
    size = array.itemsize
    assert probes.data_ptr(array[1]) == probes.data_ptr(array) + 12 * size
    assert probes.data_ptr(copy_of(array)) != probes.data_ptr(array)


def test_bytes_of_a_view_and_of_the_memory_behind_it(array: Any) -> None:
    """What `nbytes` says of a view is not what the view keeps alive."""
    view = array[1, :2]
    assert probes.nbytes(view) == 8 * array.itemsize
    assert probes.allocated_bytes(view) == 24 * array.itemsize
    assert probes.allocated_bytes(copy_of(view)) == 8 * array.itemsize


def test_contiguous_means_in_the_order_of_the_indices(array: Any) -> None:
    assert probes.is_contiguous(array[1])
    assert not probes.is_contiguous(array.swapaxes(0, 2))
    assert not probes.is_contiguous(array[:, 0])


def test_one_object_or_only_an_equal_one(array: Any) -> None:
    assert probes.same_object(array, array)
    assert not probes.same_object(array, copy_of(array))


def test_a_part_is_the_thing_itself(array: Any) -> None:
    """By name an attribute, by number an item: not a copy of it."""
    pair = (array, "other")
    assert probes.part(pair, 0) is array
    assert probes.part(pytest, "fixture") is pytest.fixture


def test_looking_changes_nothing(array: Any) -> None:
    before = copy_of(array)
    for probe in (probes.data_ptr, probes.nbytes, probes.allocated_bytes, probes.is_contiguous):
        probe(array)
    assert (array == before).all()


def test_importing_it_does_not_import_torch() -> None:
    """The zygote may load it before it forks, and labs without torch need not pay for torch."""
    check = "import shared.probes, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0
