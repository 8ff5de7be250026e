"""What kernels.py promises: what the kernels compute, what they read and write, and what a compiler makes of them.

They run in Triton's interpreter, and are compiled for GPUs that are not here: the interpreter takes what no compiler
would, and a compiler does not ask whether the result is right. The oracle follows the tables token by token and leaves
the rest to torch in float64. Whatever may not be read is poisoned, and so is every output beforehand.

How fast they are nobody can tell without a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from autograder.speed.growth import assert_flat
from autograder.speed.kernel_resources import SHARED_LIMITS, Resources, resources
from autograder.speed.lab4_kernels import ARGUMENTS, CONSTANTS
from tests.labs.lab4_paged_kv_cache.paging import Paged, assert_close, assert_near, paged

write_kernel = pytest.mark.exercise("write_kernel")
decode_kernel = pytest.mark.exercise("decode_kernel")
split_kernel = pytest.mark.exercise("split_kernel")

SEEDS = st.integers(0, 2**32 - 1)
DTYPES = st.sampled_from([torch.float32, torch.float16])
CAPABILITIES = pytest.mark.parametrize("capability", [80, 90])
CASES = st.fixed_dictionaries(
    {
        "seed": SEEDS,
        "lengths": st.lists(st.sampled_from([0, 1, 7, 8, 31, 63, 64, 65, 130]), min_size=1, max_size=3),
        "kv_heads": st.integers(1, 2),
        "group": st.sampled_from([1, 2, 4, 8]),
        "head_dim": st.sampled_from([16, 32, 64, 128]),
        "block_size": st.sampled_from([8, 16, 32]),
        "dtype": DTYPES,
    }
)


def compiled(lab: Any, kernel: Any, capability: int) -> Resources:
    """What a kernel takes on a GPU of this kind. The PTX is made where the student's code is, and assembled here."""
    compile_kernel = lab.given("shared.triton_compile", "compile_kernel")
    made = compile_kernel(kernel, ARGUMENTS, CONSTANTS, capability)
    ptx, shared_bytes = made["ptx"], made["shared_bytes"]
    assert type(ptx) is str and type(shared_bytes) is int
    return resources(ptx, shared_bytes, capability)


def assert_fits(found: Resources, capability: int) -> None:
    """Nothing spilled, no more shared memory than there is, and memory read in pieces of 16 bytes wherever that can be."""
    assert found.spilled_bytes == 0
    assert found.shared_bytes <= SHARED_LIMITS[capability]
    assert found.read_bytes[-1] == 16, f"reads of {found.read_bytes} bytes"


def far_pools(lab: Any, block_size: int) -> list[tuple[Any, Any]]:
    """For keys and values: a pool of one block as a kernel is given it, and a block of it 2**31 numbers further on."""
    far_apart, view = lab.given("shared.triton_probes", "far_apart"), lab.given("torch", "reshape")
    part, shape = lab.given("shared.probes", "part"), (1, block_size, 1, 16)
    both = [lab.keep(far_apart, block_size * 16) for _ in range(2)]
    return [tuple(lab.keep(view, lab.keep(part, three, place), shape) for place in (0, 1)) for three in both]  # type: ignore[misc]


# Write


def write(lab: Any, key: Tensor, value: Tensor, pools: Tensor, slots: Tensor) -> Tensor:
    """The pools [2, num_blocks, block_size, kv_heads, head_dim] of keys and values after a write."""
    keys, values = lab.hold(pools[0].clone()), lab.hold(pools[1].clone())
    lab.write_kv(key, value, keys, values, slots)
    return torch.stack((lab.fetch(keys), lab.fetch(values)))


@write_kernel
@pytest.mark.weight(3)
@given(
    seed=SEEDS,
    num_tokens=st.integers(0, 6),
    kv_heads=st.integers(1, 3),
    head_dim=st.sampled_from([16, 24, 40, 128]),
    block_size=st.integers(1, 4),
    dtype=DTYPES,
    wide=st.booleans(),
)
@settings(max_examples=12)
def test_every_token_is_in_its_slot_and_nothing_else_has_changed(
    lab: Any, seed: int, num_tokens: int, kv_heads: int, head_dim: int, block_size: int, dtype: torch.dtype, wide: bool
) -> None:
    """Whole pools, compared before and after: any slots in any order, some tokens with -1, numbers that are no power of 2."""
    generator = torch.Generator().manual_seed(seed)
    pools = torch.randn(2, 5, block_size, kv_heads, head_dim, generator=generator).to(dtype)
    tokens = torch.randn(2, num_tokens, kv_heads, head_dim, generator=generator).to(dtype)
    slots = torch.randperm(5 * block_size, generator=generator)[:num_tokens]
    slots = torch.nn.functional.pad(slots, (0, num_tokens - len(slots)), value=-1)
    slots[torch.rand(num_tokens, generator=generator) < 0.3] = -1
    expected = pools.clone()
    for token, slot in enumerate(slots.tolist()):
        if slot >= 0:
            expected[:, slot // block_size, slot % block_size] = tokens[:, token]
    assert torch.equal(write(lab, *tokens, pools, slots if wide else slots.int()), expected)


@write_kernel
def test_the_first_and_the_last_slot_are_slots_and_minus_one_is_none(lab: Any) -> None:
    """Slot 0 and the last one are written; the token with -1 is not, neither before the pool's beginning nor into its end."""
    whole = torch.full((2, 12, 16), 7.0)  # four slots, with as many before and behind them
    tokens = torch.stack([torch.full((3, 1, 16), value) for value in (1.0, 2.0)])
    tokens *= torch.arange(1.0, 4.0)[:, None, None]
    held, part = lab.hold(whole), lab.given("shared.probes", "part")
    pools = [lab.keep(part, held, (which, slice(4, 8))) for which in range(2)]
    reshape = lab.given("torch", "reshape")
    pools = [lab.keep(reshape, pool, (2, 2, 1, 16)) for pool in pools]
    lab.write_kv(*tokens, *pools, torch.tensor([0, -1, 3]))
    expected = [7.0] * 4 + [1.0, 7.0, 7.0, 3.0] + [7.0] * 4
    assert lab.fetch(held)[0, :, 0].tolist() == expected
    assert lab.fetch(held)[1, :, -1].tolist() == [2 * x if x != 7 else x for x in expected]


@write_kernel
def test_a_write_moves_what_it_must_and_no_more(lab: Any) -> None:
    """Each number of a token that is written is read once and stored once; those with -1 are not even read."""
    tokens, slots = torch.ones(2, 4, 3, 8), torch.tensor([5, -1, 0, 2])
    held = [lab.hold(tensor) for tensor in (*tokens, *torch.zeros(2, 2, 4, 3, 8), slots)]
    moved = lab.given("shared.triton_probes", "traffic")(lab.write_kv, held, held[:4])
    for which, counts in zip(("key", "value"), moved[:2], strict=True):
        assert (counts["loaded"], counts["different"], counts["stored"]) == (3 * 24, 3 * 24, 0), which
    for which, counts in zip(("keys", "values"), moved[2:], strict=True):
        assert (counts["loaded"], counts["stored"]) == (0, 3 * 24), which


@write_kernel
def test_slots_of_a_pool_of_more_than_2_to_the_31_numbers(lab: Any) -> None:
    """A slot so far into the pool that 32 bits can't hold the offset is written all the same, with slots of 32 bits, too."""
    (keys, far_keys), (values, far_values) = far_pools(lab, 4)
    for dtype in (torch.int64, torch.int32):
        token = torch.full((1, 1, 16), 3.0 if dtype == torch.int64 else 4.0, dtype=torch.float16)
        lab.write_kv(token, -token, keys, values, torch.tensor([2**31 // 16 + 2], dtype=dtype))
        assert lab.fetch(far_keys)[0, :, 0, 5].tolist() == [0, 0, token[0, 0, 0].item(), 0]
        assert lab.fetch(far_values)[0, :, 0, 5].tolist() == [0, 0, -token[0, 0, 0].item(), 0]


@write_kernel
def test_compiled_a_write_copies_16_bytes_at_a_time(lab: Any) -> None:
    """For sm_80 and sm_90: it compiles, nothing is spilled, and loads are as wide as loads can be."""
    for capability in (80, 90):
        assert_fits(compiled(lab, lab.write_kv_kernel, capability), capability)


# Attend


@decode_kernel
@pytest.mark.weight(3)
@given(case=CASES)
@settings(max_examples=8)
def test_it_is_attention_over_the_tokens_of_each_sequence(lab: Any, case: dict[str, Any]) -> None:
    """Ragged lengths, scattered blocks, float32 and float16, 1 to 8 query heads a key head, 16 to 128 numbers a head."""
    one = paged(**case)
    assert_near(lab.paged_decode(*one.arguments, 1), one.expected())


@decode_kernel
def test_lengths_around_every_border(lab: Any) -> None:
    """One token fewer and one more than a block, a tile and two tiles have, all in one batch."""
    case = paged(1, [0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129], kv_heads=1, block_size=16)
    assert_near(lab.paged_decode(*case.arguments, 1), case.expected())


@decode_kernel
def test_a_sequence_alone_gets_what_it_gets_among_others(lab: Any) -> None:
    """To the last bit: whoever else is in the batch makes no difference."""
    case = paged(2, [70, 3, 40], kv_heads=1, group=4)
    together = lab.paged_decode(*case.arguments, 1)
    assert_near(together, case.expected())
    for sequence in range(3):
        assert torch.equal(lab.paged_decode(*case.one(sequence).arguments, 1)[0], together[sequence])


@decode_kernel
def test_scores_of_any_size_give_no_nan(lab: Any) -> None:
    """Scores of some thousands, growing and falling from tile to tile: the answer is torch's."""
    for falling in (False, True):
        case = paged(3, [150], kv_heads=1, block_size=8)
        order = torch.arange(150.0).flip(0) if falling else torch.arange(150.0)
        for position in range(150):
            case.keys[case.block_tables[0, position // 8], position % 8] *= 20 * order[position]
        scores = case.query[0].double() @ case.tokens(case.keys, 0)[0].T / 4
        assert scores.abs().max() > 1000
        assert_near(lab.paged_decode(*case.arguments, 1), case.expected(), "falling" if falling else "growing")


@decode_kernel
def test_a_kernel_writes_its_own_heads_and_nothing_else(lab: Any) -> None:
    """The output is full of nan beforehand, and longer than it need be: what is behind it is as before."""
    case = paged(4, [9, 0, 66], kv_heads=2, group=3)
    place = lab.hold(torch.full((3 * 6 * 16 + 999,), math.nan))
    lab.paged_decode_kernel[(3, 2)](place, *case.arguments, case.block_tables.shape[1], 0.25, 2, 3, 16, 16, 8, 64)
    found = lab.fetch(place)
    assert_near(found[: 3 * 6 * 16].reshape(3, 6, 16), case.expected())
    assert found[3 * 6 * 16 :].isnan().all()


@decode_kernel
@pytest.mark.weight(4)
def test_each_key_and_each_value_travels_once(lab: Any) -> None:
    """Counted in the interpreter: keys and values of live tokens are loaded once, for however many query heads, and nothing twice."""
    traffic = lab.given("shared.triton_probes", "traffic")
    for group in (1, 4, 8):
        case = paged(5, [70, 0, 5, 16], kv_heads=2, group=group)
        held = [lab.hold(tensor) for tensor in case.arguments]
        for which, counts in zip(("keys", "values"), traffic(lab.paged_decode, [*held, 1], held[1:3]), strict=True):
            occasion = f"{which}, {group} query heads for a key head"
            assert (counts["loaded"], counts["different"]) == (case.live_numbers,) * 2, occasion
    case = paged(5, [16], kv_heads=2, group=3, block_size=16)
    held = [lab.hold(tensor) for tensor in case.arguments]
    control = traffic(lab.given("shared.triton_controls", "per_head_decode"), held, held[1:3])
    assert [counts["loaded"] for counts in control] == [3 * case.live_numbers] * 2


def groups_of(lab: Any, function: Any) -> Callable[[int], Callable[[], object]]:
    """How to prepare a call with so many query heads for each of two key heads, for a growth test."""

    def prepare(group: int) -> Callable[[], object]:
        held = [lab.hold(tensor) for tensor in paged(6, [32], kv_heads=1, group=group, block_size=32).arguments]
        return lambda: lab.keep(function, *held, 1)

    return prepare


@decode_kernel
@pytest.mark.weight(2)
def test_eight_query_heads_cost_what_one_costs(lab: Any) -> None:
    """Measured from outside: heads that share a key head share a program, so eight times the heads are not eight times the programs."""
    control = lab.given("shared.triton_controls", "per_head_decode")
    assert_flat(lab.cpu, groups_of(lab, lab.paged_decode), groups_of(lab, control), (1, 8), rounds=2)


@decode_kernel
def test_blocks_of_a_pool_of_more_than_2_to_the_31_numbers(lab: Any) -> None:
    """A block so far into the pool that 32 bits can't hold the offset is found all the same."""
    (keys, far_keys), (values, far_values) = far_pools(lab, 16)
    case = paged(7, [16], kv_heads=1, block_size=16, dtype=torch.float16, spare_blocks=0, spare_entries=0)
    far_keys[...], far_values[...] = case.keys, case.values
    table = torch.tensor([[2**31 // 256]], dtype=torch.int32)
    assert_near(lab.paged_decode(case.query, keys, values, table, case.lengths, 1), case.expected())


@decode_kernel
@CAPABILITIES
def test_compiled_it_keeps_to_the_card_and_uses_tensor_cores(lab: Any, capability: int) -> None:
    """It compiles, nothing is spilled, shared memory suffices, keys come 16 bytes at a time, and products run on tensor cores."""
    found = compiled(lab, lab.paged_decode_kernel, capability)
    assert_fits(found, capability)
    assert found.read_bytes[0] >= 4, f"reads of {found.read_bytes} bytes"
    assert found.uses_tensor_cores


# Split


@split_kernel
@pytest.mark.weight(3)
@given(case=CASES, num_splits=st.sampled_from([2, 4]))
@settings(max_examples=8)
def test_any_number_of_ranges_gives_attention(lab: Any, case: dict[str, Any], num_splits: int) -> None:
    """Whatever the lengths, so that some ranges are full, some just begun and some empty."""
    one = paged(**case)
    assert_near(lab.paged_decode(*one.arguments, num_splits), one.expected())


def partial_results(lab: Any, case: Paged, num_splits: int) -> tuple[Tensor, Tensor]:
    """What the ranges give before they are merged, with nan behind them that must stay."""
    sequences, heads, head_dim = case.query.shape
    kv_heads, count = case.keys.shape[2], sequences * heads * num_splits
    held = [lab.hold(torch.full((numbers + 99,), math.nan)) for numbers in (count * head_dim, count)]
    sizes = kv_heads, heads // kv_heads, 16, head_dim, case.keys.shape[1], 64, num_splits
    lab.paged_decode_split_kernel[(sequences, kv_heads, num_splits)](
        *held, *case.arguments, case.block_tables.shape[1], head_dim**-0.5, *sizes
    )
    outputs, logsumexps = (lab.fetch(one) for one in held)
    assert outputs[count * head_dim :].isnan().all() and logsumexps[count:].isnan().all()
    shape = sequences, heads, num_splits
    return outputs[: count * head_dim].reshape(*shape, head_dim), logsumexps[:count].reshape(shape)


@split_kernel
@pytest.mark.weight(2)
def test_ranges_have_no_token_in_common_and_share_the_work(lab: Any) -> None:
    """Each of four ranges of 512 tokens has 128 of them. All keys are 0, so its logarithm is log 128, and its output an average."""
    case = paged(8, [512], kv_heads=1, block_size=16)
    pools = [pool.nan_to_num(0.0) for pool in (case.keys * 0, case.values)]
    case = Paged(case.query, *pools, case.block_tables, case.lengths)
    outputs, logsumexps = partial_results(lab, case, 4)
    assert_close(logsumexps, torch.full((1, 2, 4), math.log(128)), rtol=1e-5, atol=1e-5)
    parts = case.tokens(case.values, 0)[0].unflatten(0, (4, 128)).mean(dim=1)
    assert_close(outputs[0, 0].double(), parts, rtol=1e-4, atol=1e-5)


@split_kernel
def test_a_range_without_tokens_counts_for_nothing(lab: Any) -> None:
    """Three tokens, or none, in eight ranges: zeros and -inf where there is nothing, and no nan."""
    case = paged(9, [3, 0])
    outputs, logsumexps = partial_results(lab, case, 8)
    assert not outputs.isnan().any()
    assert logsumexps.isneginf().sum(dim=-1).tolist() == [[7] * 4, [8] * 4]
    assert torch.equal(outputs[logsumexps.isneginf()], torch.zeros(4 * 15, 16))


@split_kernel
@given(seed=SEEDS, splits=st.sampled_from([2, 4, 16]), moved=st.sampled_from([0.0, 200.0, -200.0]), dtype=DTYPES)
@settings(max_examples=8)
def test_merging_is_what_merge_partial_attention_does(
    lab: Any, seed: int, splits: int, moved: float, dtype: torch.dtype
) -> None:
    """Any weights, also such as no float32 holds the exponential of; some ranges empty, and for one head all of them."""
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(2, 3, splits, 16, generator=generator)
    logsumexps = moved + 5 * torch.randn(2, 3, splits, generator=generator)
    logsumexps[torch.rand(2, 3, splits, generator=generator) < 0.3] = -math.inf
    logsumexps[1, 2] = -math.inf
    output = lab.hold(torch.full((2, 3, 16), math.nan, dtype=dtype))
    lab.reduce_splits_kernel[(6,)](output, outputs, logsumexps, 16, splits)
    shares = torch.softmax(logsumexps.double(), dim=-1).nan_to_num(0)
    assert_near(lab.fetch(output), (outputs.double() * shares[..., None]).sum(dim=2))


@split_kernel
@pytest.mark.weight(2)
def test_split_or_not_each_key_and_each_value_travels_once(lab: Any) -> None:
    """Counted in the interpreter: the ranges have no token in common, and leave none out."""
    case = paged(10, [300, 0, 65], kv_heads=2, group=4)
    held = [lab.hold(tensor) for tensor in case.arguments]
    moved = lab.given("shared.triton_probes", "traffic")(lab.paged_decode, [*held, 4], held[1:3])
    for which, counts in zip(("keys", "values"), moved, strict=True):
        assert (counts["loaded"], counts["different"]) == (case.live_numbers,) * 2, which


@split_kernel
@given(programs=st.integers(0, 600), tokens=st.integers(0, 20_000), processors=st.integers(1, 200))
@settings(max_examples=60)
def test_as_few_ranges_as_keep_all_processors_busy(lab: Any, programs: int, tokens: int, processors: int) -> None:
    """A power of 2, of which half would not be enough; but never more than there are whole tiles, or than 64."""
    found = lab.choose_splits(programs, tokens, processors)
    enough = next(n for n in (2**power for power in range(12)) if n * max(programs, 1) >= 2 * processors)
    tiles = max(n for n in (2**power for power in range(12)) if n == 1 or 64 * n <= tokens)
    assert type(found) is int
    assert found == min(enough, tiles, 64)


@split_kernel
def test_left_to_itself_it_chooses(lab: Any) -> None:
    """Without a number of ranges it takes that of `choose_splits`; the answer is the same as with any."""
    case = paged(11, [300, 2], kv_heads=1)
    assert_near(lab.paged_decode(*case.arguments), case.expected())
    assert_near(lab.paged_decode(*case.arguments, 4), case.expected())


@split_kernel
@CAPABILITIES
def test_compiled_ranges_and_merging_keep_to_the_card(lab: Any, capability: int) -> None:
    """Both compile, nothing is spilled, shared memory suffices, reads are wide, and the ranges use tensor cores."""
    assert_fits(compiled(lab, lab.reduce_splits_kernel, capability), capability)
    found = compiled(lab, lab.paged_decode_split_kernel, capability)
    assert_fits(found, capability)
    assert found.uses_tensor_cores
