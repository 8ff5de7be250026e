"""What the hidden suites of the prefix cache and of swapping share: requests that come, grow, fork and go.

`Serving` is a student's allocator, cache and prefix cache beside a model of the three: lists, counts and a dictionary
whose keys are whole texts. The model knows nothing of hashes. Each slot is filled with a
digest of the *whole text up to its token*. So a block that holds the right tokens behind a wrong beginning, or a
guest's tokens, is seen the moment somebody reads it; bookkeeping alone would be none the wiser.

`read_through` runs a model token by token over any memory of keys and values, to the last bit the same.

Nothing here is a test.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import product
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shared.models.tiny_gpt import Array, TinyGPT, gelu, layer_norm

# No two sizes are equal, so no two axes can be exchanged unnoticed.
LAYERS, BLOCKS, BLOCK, HEADS, DIM = 2, 10, 3, 1, 4
SALTS = ["", "guest"]
ENDINGS = [list(tokens) for length in range(1, 6) for tokens in product((0, 1), repeat=length)]
"""What texts go on with. There are few tokens, so that texts are often the same for a while."""

T = TypeVar("T")

Prefix = tuple[str, tuple[int, ...]]
"""A salt, and all tokens of a text up to the end of some block: what a committed block holds."""


@cache
def content(salt: str, text: tuple[int, ...]) -> torch.Tensor:
    """Key and value of the last token of a text, [2, LAYERS, HEADS, DIM]: a digest of the whole text."""
    numbers = np.frombuffer(sha256(repr((salt, text)).encode()).digest(), np.uint16).astype(np.float64)
    return torch.from_numpy(numbers).reshape(2, LAYERS, HEADS, DIM)


def contents(salt: str, text: Sequence[int]) -> torch.Tensor:
    """Keys and values of all tokens of a text, [2, LAYERS, T, HEADS, DIM]."""
    return _contents(salt, tuple(text))


@cache
def _contents(salt: str, text: tuple[int, ...]) -> torch.Tensor:
    tokens = [content(salt, text[:end]) for end in range(1, len(text) + 1)]
    return torch.stack(tokens, dim=2) if tokens else torch.empty(2, LAYERS, 0, HEADS, DIM, dtype=torch.float64)


def new_cache(lab: Any, num_blocks: int = BLOCKS, block_size: int = BLOCK) -> tuple[Any, Any]:
    """A student's cache and the prefix cache that belongs to it. No slot holds a number yet, so nobody may read one."""
    cache = lab.PagedKVCache(num_blocks, block_size, LAYERS, HEADS, DIM, dtype=torch.float64)
    for name in ("keys", "values"):
        lab.keep(lab.given("shared.probes", "part"), cache, name)[:] = float("nan")
    prefix_cache = lab.PrefixCache(cache.allocator, block_size)
    cache.on_reuse = prefix_cache.evict
    return cache, prefix_cache


@dataclass
class Request:
    """A request as the model sees it: its tokens, of which the first `computed` are written."""

    tokens: list[int]
    salt: str
    table: list[int]
    computed: int


class Pool:
    """A plain model of allocator, cache and prefix cache together. What it does, the student's must do."""

    def __init__(self, free: list[int], block_size: int = BLOCK) -> None:
        self.block_size = block_size
        self.free = free
        self.held: Counter[int] = Counter()
        self.committed: dict[Prefix, int] = {}
        self.counts: Counter[str] = Counter()

    def hit(self, tokens: Sequence[int], salt: str) -> list[int]:
        """The blocks of the longest committed beginning, the last token excepted."""
        found = []
        for end in range(self.block_size, len(tokens), self.block_size):
            if (salt, tuple(tokens[:end])) not in self.committed:
                break
            found.append(self.committed[salt, tuple(tokens[:end])])
        return found

    def fits(self, num_tokens: int, hit: Sequence[int] = ()) -> bool:
        """Whether there are blocks enough. Those of the hit that nobody holds are free now, but not for much longer."""
        return self.blocks_of(num_tokens) - len(hit) + sum(not self.held[b] for b in hit) <= len(self.free)

    def blocks_of(self, num_tokens: int) -> int:
        """Blocks that so many tokens fill, in whole or in part."""
        return -(-num_tokens // self.block_size)

    def share(self, block_id: int) -> None:
        """Hold a block once more."""
        if not self.held[block_id]:
            self.free.remove(block_id)
            self.counts["hits on a free block"] += 1
        self.held[block_id] += 1

    def take(self, count: int) -> list[int]:
        """Blocks for new contents, those free for longest: whatever was found in them is forgotten."""
        taken, self.free = self.free[:count], self.free[count:]
        for block_id in taken:
            self.held[block_id] += 1
            self.counts["evictions"] += block_id in self.committed.values()
            self.forget(block_id)
        return taken

    def forget(self, block_id: int) -> None:
        """Take a block out of what can be found."""
        for prefix in [prefix for prefix, other in self.committed.items() if other == block_id]:
            del self.committed[prefix]

    def drop(self, table: Sequence[int]) -> None:
        """Let the blocks of a request go, the last one first."""
        for block_id in reversed(table):
            self.held[block_id] -= 1
            if not self.held[block_id]:
                self.free.append(block_id)

    def commit(self, tokens: Sequence[int], table: Sequence[int], salt: str) -> int:
        """Remember the full blocks of a text, those that are known already excepted: how many are new."""
        before = len(self.committed)
        for index in range(len(tokens) // self.block_size):
            prefix = tuple(tokens[: (index + 1) * self.block_size])
            self.committed.setdefault((salt, prefix), table[index])
        return len(self.committed) - before


class Choose(Protocol):
    """Makes a choice: drawn by Hypothesis, which can make a failure small, or at random, which is quick."""

    def __call__(self, options: Sequence[T], what: str) -> T:
        """One of the options."""


class Serving:
    """Requests are admitted with what was found of them, computed in pieces, continued, forked, and end at any time."""

    # How often each of these happens, if it can happen at all: so that the cache is mostly nearly full.
    WEIGHTS: ClassVar[dict[str, int]] = {
        "admit": 8,
        "compute": 10,
        "generate": 9,
        "fork": 5,
        "end": 6,
        "end_all": 1,
        "evict": 1,
        "intrude": 1,
        "look": 2,
        "audit": 2,
    }

    def __init__(self, lab: Any) -> None:
        self.cache, self.prefix_cache = new_cache(lab)
        # Allocated and freed once, one by one: now the order of the free list is known.
        order = self.cache.allocator.allocate(BLOCKS)
        for block_id in order:
            self.cache.allocator.free(block_id)
        self.pool = Pool(order)
        self.counts = self.pool.counts
        self.requests: dict[str, Request] = {}
        self.texts: list[tuple[str, list[int]]] = []
        self.named = 0

    def step(self, choose: Choose) -> None:
        """One thing happens, to the student's cache and to the model."""
        subjects = self.subjects()
        possible = [what for what, weight in self.WEIGHTS.items() if subjects[what] for _ in range(weight)]
        what = choose(possible, "what")
        getattr(self, what)(choose(subjects[what], "to"), choose)

    def subjects(self) -> dict[str, Sequence[str | int]]:
        """For each thing that may happen, to whom it could happen now."""
        written = [name for name, request in self.requests.items() if request.computed == len(request.tokens)]
        partial = [name for name in written if len(self.requests[name].tokens) % BLOCK]
        return {
            "admit": [self.next_name()],
            "compute": sorted({*self.requests} - {*written}),
            "generate": written,
            "fork": partial or written,  # a partial block is what a copy is made of later
            "end": [*self.requests],
            "end_all": ["all"] if self.requests else [],
            "evict": sorted(self.pool.committed.values()),
            "intrude": sorted(block_id for block_id, holders in self.pool.held.items() if holders > 1),
            "look": ["a text"],
            "audit": ["all blocks"],
        }

    def some_text(self, choose: Choose) -> tuple[list[int], str]:
        """Mostly the beginning of a text that was here before, and something else behind it: so blocks are found."""
        begun = [*self.texts[-10:], *((salt, []) for salt in SALTS)]
        salt, seen = choose(begun, "begins as")
        kept = seen[: choose([9, 6, 7, 3], "so far")]
        if choose([False] * 7 + [True], "other salt"):
            salt = SALTS[1 - SALTS.index(salt)]
        return kept + choose(ENDINGS, "then"), salt

    def next_name(self) -> str:
        return f"request {self.named + 1}"

    def admit(self, name: str, choose: Choose) -> None:
        """Look a text up, and take it in if there is room. What was found need not be computed."""
        pool, (tokens, salt) = self.pool, self.some_text(choose)
        hit = self.prefix_cache.lookup(tokens, salt)
        assert hit == pool.hit(tokens, salt), "lookup"
        fits, new = pool.fits(len(tokens), hit), pool.blocks_of(len(tokens)) - len(hit)
        assert self.cache.can_allocate(len(tokens), hit) is fits, "can_allocate"
        table = self.cache.allocate(name, len(tokens), prefix=hit)
        if not fits:
            assert table is None
            self.counts["refused"] += 1
            return
        self.counts["blocks shared with another request"] += sum(pool.held[block_id] > 0 for block_id in hit)
        self.counts["found where the next blocks are taken"] += not {*hit}.isdisjoint(pool.free[:new])
        for block_id in hit:
            pool.share(block_id)
        wanted = hit + pool.take(new)
        assert table == wanted, "allocate"
        self.requests[name] = Request(tokens, salt, wanted, len(hit) * BLOCK)
        self.named += 1
        self.texts.append((salt, tokens))

    def compute(self, name: str, choose: Choose) -> None:
        """Write the next tokens of a prompt, mostly all that are left, and commit what is complete."""
        self.write(self.requests[name], name, choose([99, 99, 99, 1, 2, 4], "tokens"))

    def generate(self, name: str, choose: Choose) -> None:
        """Tokens are appended to a text that is written. If its last block is shared and not full, it gets a copy."""
        request, pool = self.requests[name], self.pool
        new, start = choose(ENDINGS, "new"), len(request.tokens)
        copies = int(start % BLOCK > 0 and pool.held[request.table[-1]] > 1)
        grown = pool.blocks_of(start + len(new)) - len(request.table)
        slots = self.cache.append_slots(name, len(new))
        if copies + grown > len(pool.free):
            assert slots is None
            self.counts["refused"] += 1
            return
        if copies:
            shared = request.table.pop()
            request.table += pool.take(1)
            pool.drop([shared])
            self.counts["copies"] += 1
        request.table += pool.take(grown)
        request.tokens = request.tokens + new
        assert slots == self.slots(request, start, len(request.tokens)), "append_slots"
        self.write(request, name, len(new))
        self.texts.append((request.salt, request.tokens))

    def write(self, request: Request, name: str, count: int) -> None:
        """Keys and values of the next tokens, in every layer; then whatever blocks are full can be found."""
        start, end = request.computed, min(request.computed + count, len(request.tokens))
        slots = self.slots(request, start, end)
        assert self.cache.slot_mapping(name, start)[: end - start] == slots, "slot_mapping"
        for block_id in {slot // BLOCK for slot in slots}:
            assert not self.prefix_cache.is_committed(block_id), "a committed block is to be written"
            assert self.cache.allocator.ref_count(block_id) == 1, "a shared block is to be written"
        keys, values = contents(request.salt, request.tokens[:end])[:, :, start:]
        for layer in range(LAYERS):
            self.cache.write(layer, slots, keys[layer], values[layer])
        request.computed = end
        committed = self.prefix_cache.commit(request.tokens[:end], request.table, request.salt)
        assert committed == self.pool.commit(request.tokens[:end], request.table, request.salt), "commit"

    def slots(self, request: Request, start: int, end: int) -> list[int]:
        """Where the tokens from `start` to `end` lie."""
        return [request.table[position // BLOCK] * BLOCK + position % BLOCK for position in range(start, end)]

    def fork(self, name: str, choose: Choose) -> None:
        """A second request goes on from where the first one is. Nothing is copied."""
        request, child = self.requests[name], self.next_name()
        self.cache.fork(name, child)
        for block_id in request.table:
            self.pool.share(block_id)
        self.requests[child] = Request(request.tokens, request.salt, [*request.table], request.computed)
        self.named += 1
        self.counts["forks"] += 1

    def end(self, name: str, choose: Choose) -> None:
        """A request is done, or was aborted half-way. What it committed can still be found."""
        request = self.requests.pop(name)
        self.cache.free(name)
        self.pool.drop(request.table)
        self.counts["aborted half-way" if request.computed < len(request.tokens) else "done"] += 1

    def end_all(self, _: str, choose: Choose) -> None:
        """When all are gone, every block is free, and what was committed can still be found."""
        for name in [*self.requests]:
            self.end(name, choose)
        assert self.cache.allocator.num_free == BLOCKS
        self.audit("all blocks", choose)
        self.counts["all gone"] += 1

    def evict(self, block_id: int, choose: Choose) -> None:
        """A block is forgotten before its time."""
        self.prefix_cache.evict(block_id)
        self.pool.forget(block_id)

    def intrude(self, block_id: int, choose: Choose) -> None:
        """Writing to a shared block is refused: somebody else reads there."""
        token = torch.zeros(1, HEADS, DIM, dtype=torch.float64)
        with pytest.raises(ValueError):
            self.cache.write(0, [block_id * BLOCK + choose(range(BLOCK), "offset")], token, token)

    def look(self, _: str, choose: Choose) -> None:
        """Look a text up, and ask how long it could get. Neither claims or changes anything."""
        tokens, salt = self.some_text(choose)
        hit = self.prefix_cache.lookup(tokens, salt)
        assert hit == self.pool.hit(tokens, salt), "lookup"
        for new in range(BLOCKS - len(hit) + 1):
            num_tokens = (len(hit) + new) * BLOCK
            fits = self.pool.fits(num_tokens, hit)
            assert self.cache.can_allocate(num_tokens, hit) is fits, "can_allocate"
            self.counts["no room because of what was found"] += not fits and new <= len(self.pool.free)

    def audit(self, _: str, choose: Choose) -> None:
        """Each block has as many holders as there are tables that name it, and can be found if it was committed."""
        committed = set(self.pool.committed.values())
        for block_id in range(BLOCKS):
            assert self.cache.allocator.ref_count(block_id) == self.pool.held[block_id], f"holders of block {block_id}"
            assert self.prefix_cache.is_committed(block_id) is (block_id in committed), f"block {block_id}"

    def check(self) -> None:
        """Every request reads its own text, and nothing is lost."""
        for name, request in self.requests.items():
            wanted = contents(request.salt, request.tokens[: request.computed])
            for layer in range(LAYERS):
                for which, found in enumerate(self.cache.gather(name, layer)):
                    assert len(found) == len(request.tokens), f"{name} has {len(found)} tokens"
                    own = wanted[which, layer]
                    assert torch.equal(found[: request.computed], own), f"{name} reads what is not its own"
            assert self.cache.block_table(name) == request.table, f"block table of {name}"
        assert self.cache.allocator.num_free == len(self.pool.free), "free blocks"
        assert self.prefix_cache.num_committed == len(self.pool.committed), "committed blocks"


class Machine(RuleBasedStateMachine):
    """A server as a state machine, so that Hypothesis can look for the fewest steps that go wrong."""

    def __init__(self, serving: Serving) -> None:
        super().__init__()
        self.serving = serving

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        self.serving.step(lambda options, what: data.draw(st.sampled_from(options), label=what))

    @invariant()
    def all_is_as_in_the_model(self) -> None:
        self.serving.check()


def walk(serving: Serving, steps: int, seed: int = 0) -> Counter[str]:
    """Many steps in a row, the same each time: how often what happened. Enough to prove that everything did."""
    generator = random.Random(seed)
    for number in range(steps):
        serving.step(lambda options, what: generator.choice(options))
        # Not at every step, for reading costs most: what was overwritten is wrong a moment later, too.
        if number % 3 == 0:
            serving.check()
    return serving.counts


# A model over any memory


class Memory(Protocol):
    """Keys and values of one text, wherever they lie."""

    def write(self, layer: int, start: int, keys: Array, values: Array) -> None:
        """Keep those of the tokens from position `start` on, [T, heads, head_dim] each."""

    def read(self, layer: int) -> tuple[Array, Array]:
        """All that were written, [n, heads, head_dim] each, oldest first."""


def read_through(model: TinyGPT, memory: Memory, tokens: Sequence[int], start: int = 0) -> list[Array]:
    """Logits of each of some tokens, which continue the `start` tokens that the memory holds.

    Keys and values of all these tokens are written at once, but every number is computed by itself. So it is the
    same to the last bit, however a text is cut into pieces.
    """
    hidden = [model.embed([[token]], position) for position, token in enumerate(tokens, start)]
    for layer, block in enumerate(model.blocks):
        pairs = [block.attention.key_value.project(layer_norm(one)) for one in hidden]
        keys, values = (np.stack([part[0, :, 0] for part in parts]) for parts in zip(*pairs, strict=True))
        memory.write(layer, start, keys, values)
        keys, values = memory.read(layer)
        for index, one in enumerate(hidden):
            past = [np.ascontiguousarray(part[: start + index + 1].swapaxes(0, 1))[None] for part in (keys, values)]
            one = one + block.attention.attend(block.attention.queries(layer_norm(one)), *past)
            hidden[index] = one + gelu(layer_norm(one) @ block.expand) @ block.contract
    return [(layer_norm(one) @ model.head)[0, 0] for one in hidden]


class Paged:
    """One request of a student's paged cache, as a memory."""

    def __init__(self, cache: Any, name: str) -> None:
        self.cache, self.name = cache, name

    def write(self, layer: int, start: int, keys: Array, values: Array) -> None:
        slots = self.cache.slot_mapping(self.name, start)[: len(keys)]
        self.cache.write(layer, slots, torch.from_numpy(keys), torch.from_numpy(values))

    def read(self, layer: int) -> tuple[Array, Array]:
        keys, values = self.cache.gather(self.name, layer)
        return keys.numpy(), values.numpy()


class Contiguous:
    """A row of lab 3's cache, as a memory: the grader's own."""

    def __init__(self, model: TinyGPT) -> None:
        from solutions.lab3_simple_kv_cache.cache import CacheConfig, SimpleKVCache

        sizes = model.config
        self.cache = SimpleKVCache(
            CacheConfig(sizes.num_layers, sizes.num_heads, sizes.head_dim, 1, sizes.max_seq_len, torch.float64)
        )

    def write(self, layer: int, start: int, keys: Array, values: Array) -> None:
        assert int(self.cache.lengths[layer, 0]) == start
        self.cache.update(layer, 0, torch.from_numpy(keys), torch.from_numpy(values))

    def read(self, layer: int) -> tuple[Array, Array]:
        keys, values = self.cache.get(layer, 0)
        return keys.numpy(), values.numpy()
