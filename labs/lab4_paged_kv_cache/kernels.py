"""The paged cache on a GPU, in Triton: one kernel that writes new tokens, and three that attend to old ones.

Decoding does a few operations for each byte it reads, so reading decides how long it takes. Each key and each value
is to travel once: `paged_decode_kernel` follows the block table itself, where `attention.py` first copies everything
into one piece, and the query heads that share a key head sit together in one program, so that one load serves all.

One program for each sequence and key head keeps a GPU busy when there are many sequences. A single long one would
occupy 8 of 132 processors: `paged_decode_split_kernel` cuts its tokens into ranges that run side by side, and
`reduce_splits_kernel` merges what they find, as `merge_partial_attention` does.

Shapes are those of `attention.py`. Everything is contiguous, head_dim is a power of 2 from 16 on, sums are kept in
float32. Without a GPU, Triton's interpreter runs these kernels as Python: slowly, and for float32 and float16 only.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from __future__ import annotations

import math

import shared.triton_mode  # noqa: F401  # isort: skip  # before triton: it decides who runs the kernels
import torch
import triton
import triton.language as tl
from torch import Tensor

from shared.blanks import ___

TOKENS = 64  # that a program looks at together; they may lie in several blocks
MIN_ROWS = 16  # tensor cores multiply nothing smaller
MAX_SPLITS = 64


@triton.jit
def write_kv_kernel(key, value, keys, values, slots, WIDTH: tl.constexpr, PADDED: tl.constexpr):
    """Program t copies the WIDTH = kv_heads * head_dim numbers of token t's key, and of its value, to slot slots[t]."""
    token = tl.program_id(0)
    # subtle: a pool may have more than 2**31 numbers. 64-bit integers find them all, 32-bit ones start over.
    slot = tl.load(slots + token).to(tl.int64)
    if ___:  # Q68
        numbers = tl.arange(0, PADDED)
        inside = ___  # Q69
        source = token.to(tl.int64) * WIDTH + numbers
        target = ___  # Q70
        tl.store(keys + target, tl.load(key + source, mask=inside), mask=inside)
        tl.store(values + target, tl.load(value + source, mask=inside), mask=inside)


@triton.jit
def attend_range(
    packed, keys, values, table, kv_head, first, last, scale,
    KV_HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_SIZE: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Online softmax of queries [ROWS, HEAD_DIM], all of one key head, over tokens first to last - 1 of one sequence.

    Returns the running maximum and total, [ROWS], and the accumulator, [ROWS, HEAD_DIM].
    """
    numbers = tl.arange(0, HEAD_DIM)
    maximum = tl.full([packed.shape[0]], float("-inf"), tl.float32)
    total = tl.zeros([packed.shape[0]], tl.float32)
    accumulator = tl.zeros([packed.shape[0], HEAD_DIM], tl.float32)
    for start in range(first, last, TILE):
        tokens = start + tl.arange(0, TILE)
        is_live = tokens < last
        block = ___  # Q71
        slot = block * BLOCK_SIZE + tokens % BLOCK_SIZE
        offsets = ___  # Q72
        key = tl.load(keys + offsets, mask=is_live[:, None], other=0.0)
        value = tl.load(values + offsets, mask=is_live[:, None], other=0.0)
        scores = tl.dot(packed, tl.trans(key), input_precision="ieee") * scale
        scores = ___  # Q73
        # Q74: about 5 lines
        ___()
        accumulator = tl.dot(weights.to(value.dtype), value, accumulator, input_precision="ieee")
        maximum = new_maximum
    return maximum, total, accumulator


@triton.jit
def paged_decode_kernel(
    output, query, keys, values, block_tables, lengths, max_blocks, scale,
    KV_HEADS: tl.constexpr, GROUP: tl.constexpr, ROWS: tl.constexpr, HEAD_DIM: tl.constexpr,
    BLOCK_SIZE: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Program (s, h) attends with the GROUP query heads that share key head h to all tokens of sequence s.

    The heads are the first rows of a matrix of ROWS.
    """
    sequence, kv_head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    rows, numbers = tl.arange(0, ROWS), tl.arange(0, HEAD_DIM)
    head = ___  # Q75
    at = head[:, None] * HEAD_DIM + numbers[None, :]
    is_head = (rows < GROUP)[:, None]
    packed = tl.load(query + at, mask=is_head, other=0.0)
    table, length = block_tables + sequence * max_blocks, tl.load(lengths + sequence)
    _, total, accumulator = attend_range(
        packed, keys, values, table, kv_head, 0, length, scale, KV_HEADS, HEAD_DIM, BLOCK_SIZE, TILE
    )
    result = ___  # Q76
    tl.store(output + at, result, mask=is_head)


@triton.jit
def paged_decode_split_kernel(
    outputs, logsumexps, query, keys, values, block_tables, lengths, max_blocks, scale,
    KV_HEADS: tl.constexpr, GROUP: tl.constexpr, ROWS: tl.constexpr, HEAD_DIM: tl.constexpr,
    BLOCK_SIZE: tl.constexpr, TILE: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """Program (s, h, i) does the same with range i of SPLITS of the tokens, for `reduce_splits_kernel` to merge.

    Writes the partial outputs [sequences, heads, SPLITS, head_dim], and logarithms [sequences, heads, SPLITS].
    """
    sequence, kv_head, split = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    rows, numbers = tl.arange(0, ROWS), tl.arange(0, HEAD_DIM)
    head = (sequence * KV_HEADS + kv_head) * GROUP + rows
    is_head = rows < GROUP
    packed = tl.load(query + head[:, None] * HEAD_DIM + numbers[None, :], mask=is_head[:, None], other=0.0)
    table, length = block_tables + sequence * max_blocks, tl.load(lengths + sequence)
    # Q77: about 3 lines
    ___()
    maximum, total, accumulator = attend_range(
        packed, keys, values, table, kv_head, first, last, scale, KV_HEADS, HEAD_DIM, BLOCK_SIZE, TILE
    )
    # A range without tokens has the maximum -inf and the total 0: zeros, with the logarithm -inf.
    total = tl.where(total == 0, 1.0, total)
    result = accumulator / total[:, None]
    place = head * SPLITS + split
    tl.store(outputs + place[:, None] * HEAD_DIM + numbers[None, :], result, mask=is_head[:, None])
    tl.store(logsumexps + place, maximum + tl.log(total), mask=is_head)


@triton.jit
def reduce_splits_kernel(output, outputs, logsumexps, HEAD_DIM: tl.constexpr, SPLITS: tl.constexpr):
    """Program n merges the SPLITS partial results of one head of one sequence, the n-th of all."""
    head = tl.program_id(0).to(tl.int64)
    splits, numbers = tl.arange(0, SPLITS), tl.arange(0, HEAD_DIM)
    logsumexp = tl.load(logsumexps + head * SPLITS + splits)
    parts = tl.load(outputs + (head * SPLITS + splits)[:, None] * HEAD_DIM + numbers[None, :])
    # Q78: about 4 lines
    ___()
    tl.store(output + head * HEAD_DIM + numbers, result)


def write_kv(key: Tensor, value: Tensor, keys: Tensor, values: Tensor, slots: Tensor) -> None:
    """Write tokens into one layer of a paged cache, token t into slot `slots[t]`: block slot // block_size.

    Args:
        key, value: [T, kv_heads, head_dim].
        keys, values: [num_blocks, block_size, kv_heads, head_dim], written in place.
        slots: [T], integers. A negative one says that the token is not to be written.
    """
    _require_contiguous(key=key, value=value, keys=keys, values=values, slots=slots)
    num_tokens, width = key.shape[0], key[0].numel() if len(key) else 0
    if num_tokens:
        write_kv_kernel[(num_tokens,)](key, value, keys, values, slots, width, _power_of_2(width))


def paged_decode(
    query: Tensor, keys: Tensor, values: Tensor, block_tables: Tensor, lengths: Tensor, num_splits: int | None = None
) -> Tensor:
    """Attention of one new token a sequence over a paged cache: what `paged_attention` returns, but for rounding.

    Args:
        num_splits: into how many ranges each sequence is cut, a power of 2; as many as `choose_splits` says if None.

    Raises:
        ValueError: shapes or sizes that the kernels can't deal with.
    """
    _require_contiguous(query=query, keys=keys, values=values, block_tables=block_tables, lengths=lengths)
    (num_sequences, num_heads, head_dim), (_, block_size, num_kv_heads, _) = query.shape, keys.shape
    if num_heads % num_kv_heads or head_dim < 16 or head_dim & (head_dim - 1):
        raise ValueError(f"{num_heads} heads of {head_dim} numbers for {num_kv_heads} key heads")
    if num_splits is None:
        # subtle: how long the sequences are only the GPU knows, and asking would mean waiting for it.
        room, processors = block_tables.shape[1] * block_size, _num_processors(query.device)
        num_splits = choose_splits(num_sequences * num_kv_heads, room, processors)
    group, output = num_heads // num_kv_heads, torch.empty_like(query)
    inputs = (query, keys, values, block_tables, lengths, block_tables.shape[1], 1 / math.sqrt(head_dim))
    sizes = (num_kv_heads, group, max(MIN_ROWS, _power_of_2(group)), head_dim, block_size, TOKENS)
    if num_splits == 1:
        paged_decode_kernel[(num_sequences, num_kv_heads)](output, *inputs, *sizes)
        return output
    outputs = query.new_empty(num_sequences, num_heads, num_splits, head_dim, dtype=torch.float32)
    logsumexps = torch.empty_like(outputs[..., 0])
    paged_decode_split_kernel[(num_sequences, num_kv_heads, num_splits)](
        outputs, logsumexps, *inputs, *sizes, num_splits
    )
    reduce_splits_kernel[(num_sequences * num_heads,)](output, outputs, logsumexps, head_dim, num_splits)
    return output


def choose_splits(num_programs: int, max_tokens: int, num_processors: int) -> int:
    """Into how many ranges to cut each sequence: a power of 2, as few as give every processor two programs.

    Fewer leave processors idle, more only add to what has to be merged. No range is to be smaller than a tile of
    `TOKENS`, and there are never more than `MAX_SPLITS`.

    Example: 8 programs on 132 processors, 100,000 tokens: 264 / 8 = 33 -> 64. With 512 tokens: 8 tiles -> 8.

    Args:
        num_programs: sequences * kv_heads; without splitting, each of them is one program.
        max_tokens: how long a sequence can be.
        num_processors: that run programs side by side.
    """
    wanted = math.ceil(___)  # Q79
    tiles = max(max_tokens // TOKENS, 1)
    return min(_power_of_2(wanted), _power_of_2(tiles + 1) // 2, MAX_SPLITS)


def _power_of_2(number: int) -> int:
    """The smallest that is at least `number`."""
    return 1 << (number - 1).bit_length()


def _num_processors(device: torch.device) -> int:
    return int(torch.cuda.get_device_properties(device).multi_processor_count) if device.type == "cuda" else 1


def _require_contiguous(**tensors: Tensor) -> None:
    for name, tensor in tensors.items():
        if not tensor.is_contiguous():
            raise ValueError(f"{name} must be contiguous: kernels compute addresses from its shape alone")
