"""Inputs that are a function of a seed, calls on them, and digests of what comes out."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from shared.challenges import Calls, Case, Numbers, Order, digests, drawn

CPU = torch.device("cpu")
NUMBERS = Numbers((50, 16), torch.float32, 4.0)
CASE = Case(
    fresh={"scale": Numbers((1,), torch.float32), "order": Order((6,))},
    fixed={"rows": Numbers((6, 4), torch.float32)},
    given={"shift": torch.tensor(1.0)},
)


def weighed(rows: Tensor, scale: Tensor, order: Tensor, shift: Tensor) -> Tensor:
    return rows[order] * scale + shift


def calls(function: Any = weighed, case: Case = CASE, most: int = 4) -> Calls:
    return Calls(function, case, "cpu", 1, most)


def test_the_same_seed_draws_the_same_numbers_and_another_others() -> None:
    assert torch.equal(drawn(NUMBERS, 1, "a", CPU), drawn(NUMBERS, 1, "a", CPU))
    assert not torch.equal(drawn(NUMBERS, 1, "a", CPU), drawn(NUMBERS, 2, "a", CPU))
    assert not torch.equal(drawn(NUMBERS, 1, "a", CPU), drawn(NUMBERS, 1, "b", CPU))


def test_the_first_calls_inputs_do_not_depend_on_how_many_there_are() -> None:
    """So whoever checks one of them needs no others."""
    for spec in (NUMBERS, Order((5, 7))):
        few, many = drawn(spec, 3, "a", CPU, 2), drawn(spec, 3, "a", CPU, 9)
        assert torch.equal(few, many[:2])
        assert not torch.equal(many[0], many[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_numbers_are_the_same_in_every_format(dtype: torch.dtype) -> None:
    """Exactly: none is rounded, not even where a number has 8 bits."""
    numbers = drawn(Numbers((50, 16), dtype, 4.0), 1, "a", CPU)
    assert numbers.dtype is dtype
    assert torch.equal(numbers.float(), drawn(NUMBERS, 1, "a", CPU))


def test_numbers_fill_their_range_evenly() -> None:
    numbers = drawn(Numbers((40_000,), torch.float64, 2.0), 1, "a", CPU)
    assert numbers.min() == -2 and 2 > numbers.max() > 1.98
    assert abs(float(numbers.mean())) < 0.05
    assert float(numbers.std()) == pytest.approx(4 / 12**0.5, rel=0.02)
    neighbours = torch.corrcoef(torch.stack((numbers[:-1], numbers[1:])))[0, 1]
    assert abs(float(neighbours)) < 0.03


def test_large_tensors_are_made_piece_by_piece_and_come_out_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = drawn(NUMBERS, 1, "a", CPU)
    monkeypatch.setattr("shared.challenges._PIECE", 7)
    assert torch.equal(drawn(NUMBERS, 1, "a", CPU), whole)


def test_an_order_has_each_number_once() -> None:
    """And a different order for each call; 5 in a row can't come out sorted by chance."""
    order = drawn(Order((5, 7), torch.int32), 1, "a", CPU, 3)
    assert order.dtype is torch.int32
    assert all(sorted(one.flatten().tolist()) == list(range(35)) for one in order)
    assert order[0].flatten().tolist() != list(range(35))


def test_what_is_answered_is_a_digest_of_each_output() -> None:
    found = calls()
    answer = found.answer(7, 3)
    assert len(answer) == len(set(answer)) == 3 and all(type(digest) is int for digest in answer)
    assert answer == calls().answer(7, 3), "another process with the same seeds answers the same"
    assert answer != found.answer(8, 3)


def test_one_who_knows_the_seed_knows_the_inputs() -> None:
    """And so what has to come out; whatever the device."""
    runner, twin = calls(), calls(lambda **_: torch.zeros(1))
    runner.answer(7, 3)
    for index in range(3):
        assert torch.equal(runner.output(index)[0], weighed(**twin.inputs(7, index)))


def test_inputs_always_lie_in_the_same_place() -> None:
    """Whoever remembers what came out for an address, remembers what came out for other numbers."""
    seen: list[tuple[int, float]] = []

    def remember(rows: Tensor, scale: Tensor, order: Tensor, shift: Tensor) -> Tensor:
        seen.append((scale.data_ptr(), float(scale)))
        return rows

    found = calls(remember)
    for seed in (1, 2):
        found.answer(seed, 2)
    assert seen[0][0] == seen[2][0] and seen[1][0] == seen[3][0]
    assert len({number for _, number in seen}) == 4


def test_what_is_to_be_filled_is_the_output() -> None:
    """For each call its own, and nothing of the calls before is left in it."""
    case = Case(fresh={"source": Numbers((2, 3), torch.float32)}, filled={"target": Numbers((2, 3), torch.float32)})
    found = calls(lambda source, target: target.copy_(source), case)
    found.answer(5, 4)
    one = [found.output(index)[0] for index in range(4)]
    assert torch.equal(one[2], drawn(case.fresh["source"], 5, "source", CPU, 4)[2])
    lazy = calls(lambda source, target: None, case)
    lazy.clear()
    lazy.answer(5, 4)
    assert lazy.output(0)[0].isnan().all()


class Lazy(Tensor):
    """A tensor that could put off what it is made of."""


@pytest.mark.parametrize("returned", [None, 3.0, Lazy(), [torch.ones(1)], torch.nn.Parameter(torch.ones(1))])
def test_only_a_tensor_is_an_output(returned: object) -> None:
    """Exactly that: of a subclass nobody knows whether there is anything in it yet."""
    with pytest.raises(TypeError, match="expected a tensor, got a "):
        calls(lambda **_: returned).answer(1, 1)


def test_digests_tell_apart_what_differs_in_one_bit_or_one_place() -> None:
    output = drawn(NUMBERS, 1, "a", CPU)
    bit, order, key = output.clone(), output.flip(0), 5
    bit.view(torch.int32)[17, 3] ^= 1
    found = [digests([(tensor,)], key)[0] for tensor in (output, bit, order, output * 0)]
    assert len(set(found)) == 4
    assert digests([(output,)], 6) != digests([(output,)], key)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (5, 2, 4), (4, 1)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.int64])
def test_every_shape_has_a_digest(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Rows of an odd number of bytes, and what does not lie in one piece, too."""
    tensor = (torch.arange(60)[: int(torch.tensor(shape).prod())].reshape(shape) + 1).to(dtype)
    (digest,) = digests([(tensor,)], 1)
    assert digest == digests([(torch.stack((tensor, tensor), dim=-1)[..., 0],)], 1)[0]
    for place in itertools.islice(itertools.product(*map(range, shape)), 4):
        changed = tensor.clone()
        changed[place] += 1
        assert digests([(changed,)], 1)[0] != digest


def test_fixed_inputs_have_digests_that_change_with_them() -> None:
    def change(rows: Tensor, **_: Tensor) -> Tensor:
        rows[2, 1] += 1
        return rows

    found = calls(change)
    before = found.fixed_digests(3)
    assert before == calls().fixed_digests(3)
    found.answer(1, 1)
    assert found.fixed_digests(3) != before
