"""Whatever may cross arrives as exactly what it was; whatever is malformed is a WireError and nothing else."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from msgspec.msgpack import Ext

from autograder.isolation import unpack
from autograder.isolation.pack import Packer
from autograder.isolation.wire import BYTES, MAX_DEPTH, MAX_INT_BYTES, WireError
from tests.autograder.colliding import colliding_pairs
from tests.autograder.wire_values import GARBAGE, VALUES, damaged, packed, same, unpacked

often = settings(derandomize=True, database=None, deadline=None, max_examples=250)


@often
@given(VALUES)
def test_every_value_arrives_as_what_it_was(value: Any) -> None:
    assert same(unpacked(*packed(value)), value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=">i4").reshape(3, 4),
        np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1)[:, ::-1],
        np.broadcast_to(np.float32(7), (3, 0, 2)),
        torch.arange(12).reshape(3, 4).T[::2],
        torch.arange(2)[::2],
        torch.tensor(1.5),
        torch.tensor([1 + 2j]).conj(),
        torch.tensor([1 + 2j]).conj().imag,
        torch.ones(2, requires_grad=True),
    ],
    ids=lambda array: str(type(array).__name__),
)
def test_numbers_arrive_however_they_lie_in_memory(array: Any) -> None:
    arrived = unpacked(*packed(array))
    assert arrived.shape == array.shape
    assert arrived.tolist() == array.tolist()


def test_an_array_that_arrives_is_nobody_elses_and_can_be_changed() -> None:
    array = np.zeros(3)
    plain, buffers = packed([array, array])
    first, second = unpacked(plain, buffers)
    first += 1
    assert array.tolist() == second.tolist() == [0, 0, 0]


class Text(str):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


@pytest.mark.parametrize(
    "value",
    [
        Text("a"),
        type("Numbers", (list,), {})([1]),
        torch.nn.Parameter(torch.ones(1)),
        np.ma.masked_array([1.0]),
        np.array(["a"]).view(np.recarray)[0],
        torch.Size([1]),
        torch.zeros(1, device="meta"),
        len,
        int,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_could_lie_about_itself_is_no_value(value: Any) -> None:
    with pytest.raises(WireError, match="is no value"):
        packed([value])


@pytest.mark.parametrize("value", [np.zeros(1, np.longdouble), np.longdouble(1), np.array(["a"]), np.array([None])])
def test_numbers_that_the_other_end_does_not_know_are_refused_where_they_are(value: Any) -> None:
    with pytest.raises(WireError, match="cannot cross"):
        packed(value)


@pytest.mark.parametrize("value", [{len: 1}, {(1, (len,)): 1}, {len}, frozenset({1, len})])
def test_an_object_that_stays_behind_cannot_be_a_key_or_in_a_set(value: Any) -> None:
    class Numbered:
        def refer(self, value: object) -> list[Any]:
            return ["reference", 1]

    assert Packer(Numbered()).pack([len]) == ["list", ["reference", 1]]  # type: ignore[arg-type]
    with pytest.raises(WireError, match="cannot cross as a key, nor in a set"):
        Packer(Numbered()).pack(value)  # type: ignore[arg-type]


def test_values_nest_as_deeply_as_the_cap_says_and_no_deeper() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH + 1):
        value = [value]
    assert unpacked(*packed(value)) == value
    with pytest.raises(WireError, match="nested more than"):
        packed([value])
    with pytest.raises(WireError, match="malformed"):
        unpacked(["list", packed(value)[0]])


def test_integers_are_as_large_as_the_cap_says_and_no_larger() -> None:
    largest = 256**MAX_INT_BYTES // 2 - 1
    assert unpacked(*packed(largest)) == largest
    with pytest.raises(WireError, match="cannot cross"):
        packed(largest + 1)
    with pytest.raises(WireError, match="malformed bytes"):
        unpacked(["int", Ext(BYTES, bytes(MAX_INT_BYTES + 1))])


@often
@given(GARBAGE)
def test_garbage_is_a_value_or_a_wire_error(plain: Any) -> None:
    try:
        value = unpacked(plain, [bytearray(8)])
    except WireError:
        return
    assert same(unpacked(*packed(value)), value)


@often
@given(damaged())
def test_a_damaged_message_is_a_value_or_a_wire_error(message: tuple[Any, list[bytearray]]) -> None:
    try:
        value = unpacked(*message)
    except WireError:
        return
    assert same(unpacked(*packed(value)), value)


@pytest.mark.parametrize(
    "plain",
    [
        {},
        [],
        [1],
        object(),
        Ext(BYTES + 1, b""),
        ["array", "uint8", [-1, -8], 0],
        ["array", "uint8", [2**62, 4], 0],
        ["array", "uint8", [8], -1],
        ["array", "uint8", [8], 1],
        ["array", "uint8", [True, 8], 0],
        ["list", ["array", "uint8", [8], 0], ["array", "uint8", [8], 0]],
        ["array", "object", [1], 0],
        ["array", "bool", [8], 0],
        ["tensor", "bool", [8], 0],
        ["tensor", "float32", [3], 0],
        ["scalar", "bfloat16", Ext(BYTES, b"ab")],
        ["dict", ["list"], 1],
        ["dict", 1],
        ["set", ["dict"]],
        ["complex", "1" * 1000, 0.0],
        ["str", Ext(BYTES, b"\xff")],
        ["range", 0, 1, 0],
        ["dtype", "Tensor"],
        ["record", "shared.sample:Sizes", "length", "%999999999d"],
        ["record", "shared.sample:Sizes", "nothing", 1],
        ["record", "shared.sample:Elsewhere", "references", 1, "buffers", 1],
        ["record", "shared.sample.Sizes:__class__"],
        ["record", "shared.sample:Colour"],
        ["record", "os:system"],
        ["record", "shared.nothing:Nothing"],
        ["enum", "shared.sample:Sizes", "RED"],
        ["enum", "shared.sample:Colour", "__class__"],
    ],
    ids=repr,
)
def test_what_describes_no_value_is_a_wire_error(plain: Any) -> None:
    with pytest.raises(WireError):
        unpacked(plain, [bytearray(b"\2" * 8)])


@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_an_empty_array_is_not_endless_in_another_dimension(kind: str) -> None:
    assert unpacked([kind, "uint8", [3, 0], 0], [bytearray()]).shape == (3, 0)
    with pytest.raises(WireError, match="too large a shape"):
        unpacked([kind, "uint8", [2**40, 0], 0], [bytearray()])


@pytest.mark.parametrize("kind", ["dict", "set", "frozenset"])
def test_keys_chosen_to_collide_cost_no_more_time_than_the_cap(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    keys = colliding_pairs(20_000)
    assert len({hash(key) for key in keys}) == 1
    fields = [["tuple", *key] for key in keys]
    plain = [kind, *(field for key in fields for field in ([key, 1] if kind == "dict" else [key]))]
    monkeypatch.setattr(unpack, "_MAX_SECONDS", 0.2)
    start = time.thread_time()
    with pytest.raises(WireError, match="too long"):
        unpacked(plain)
    assert time.thread_time() - start < 1
    assert len(unpacked(plain[:201])) == (100 if kind == "dict" else 200)
