"""What roofline.py promises: the slower of two times, for any model and card, and exactly where they cross.

The oracle counts token by token, in integers and fractions, so that no rounding stands between it and a tie.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.hardware import DTYPE_BITS, GPU, GPUS
from solutions.lab2_memory_analyzer.config import ModelConfig, num_parameters

pytestmark = pytest.mark.exercise("roofline")

LLAMA_3_8B = ModelConfig(32, 4096, 32, 8, 128, 14336, 128256, 8192, False, "llama")
A100 = GPU("A100, rounded", 80 * 10**9, 2_000 * 10**9, 312 * 10**12)


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    """Small Llamas of any sizes; heads are shared in many of them."""
    kv_heads = draw(st.integers(1, 3))
    sizes = {
        name: draw(st.integers(1, 20))
        for name in ("num_layers", "hidden_size", "head_dim", "intermediate_size", "vocab_size", "max_seq_len")
    }
    heads = {"num_attention_heads": kv_heads * draw(st.integers(1, 6)), "num_key_value_heads": kv_heads}
    return ModelConfig(**sizes, **heads, tie_word_embeddings=draw(st.booleans()), family="llama")


@dataclass(frozen=True)
class Step:
    """A forward pass by its definition: for each sequence, how many keys each of its tokens sees.

    The last one's are all those that are in its cache.
    """

    config: ModelConfig
    sequences: list[list[int]]
    dtype: str
    kv_dtype: str

    @property
    def flops(self) -> int:
        """A multiplication and an addition for each parameter, and for each number of a key and of a value that is seen."""
        heads = self.config.num_layers * self.config.num_attention_heads
        for_each_key = heads * (2 * self.config.head_dim + 2 * self.config.head_dim)
        tokens = [seen for sequence in self.sequences for seen in sequence]
        return sum(2 * num_parameters(self.config) + seen * for_each_key for seen in tokens)

    @property
    def bytes(self) -> int:
        """The weights, rounded up to whole bytes, and the cache of each sequence."""
        numbers = 2 * self.config.num_layers * self.config.num_key_value_heads * self.config.head_dim
        cached = sum(sequence[-1] for sequence in self.sequences)
        weights = -(-num_parameters(self.config) * DTYPE_BITS[self.dtype] // 8)
        return weights + cached * numbers * DTYPE_BITS[self.kv_dtype] // 8

    def times(self, gpu: GPU) -> tuple[Fraction, Fraction]:
        """Seconds to compute, seconds to read."""
        return Fraction(self.flops, gpu.flops_per_second), Fraction(self.bytes, gpu.bytes_per_second)


def decode(config: ModelConfig, batch_size: int, context_len: int, dtypes: tuple[str, str] = ("bf16", "bf16")) -> Step:
    return Step(config, [[context_len]] * batch_size, *dtypes)


def prefill(config: ModelConfig, batch_size: int, prompt_len: int, dtypes: tuple[str, str]) -> Step:
    return Step(config, [list(range(1, prompt_len + 1))] * batch_size, *dtypes)


CARDS = st.builds(
    GPU, st.just("any"), st.just(1), bytes_per_second=st.integers(1, 200), flops_per_second=st.integers(1, 5000)
)
BATCHES, CONTEXTS = st.integers(1, 30), st.integers(0, 60)
DTYPES = st.tuples(st.sampled_from(sorted(DTYPE_BITS)), st.sampled_from(sorted(DTYPE_BITS)))


def student_s(lab: Any, config: ModelConfig) -> Any:
    return lab.ModelConfig(**asdict(config))


def close(expected: Fraction) -> Any:
    """Equal but for the rounding of floats."""
    return pytest.approx(float(expected), rel=1e-12)


# Counting


@given(config=configs(), batch_size=BATCHES, context_len=CONTEXTS, dtypes=DTYPES)
@settings(max_examples=40)
def test_a_decode_step_is_counted_token_by_token(
    lab: Any, config: ModelConfig, batch_size: int, context_len: int, dtypes: tuple[str, str]
) -> None:
    """Operations and bytes are exact integers, in any dtypes of weights and cache, and intensity is one over the other."""
    model, step = student_s(lab, config), decode(config, batch_size, context_len, dtypes)
    flops = lab.forward_flops(model, batch_size, batch_size * context_len)
    moved = lab.forward_bytes(model, batch_size, context_len, *dtypes)
    assert [type(count) for count in (flops, moved)] == [int, int]
    assert (flops, moved) == (step.flops, step.bytes)
    found = lab.arithmetic_intensity(model, batch_size, context_len, *dtypes)
    assert type(found) is float
    assert found == close(Fraction(step.flops, step.bytes))


@given(config=configs(), gpu=CARDS, batch_size=BATCHES, context_len=CONTEXTS, dtypes=DTYPES)
@settings(max_examples=40)
def test_a_decode_step_takes_the_longer_of_two_times(
    lab: Any, config: ModelConfig, gpu: GPU, batch_size: int, context_len: int, dtypes: tuple[str, str]
) -> None:
    """Computing or reading, whichever is slower on any card; it gives each sequence a token; and `bound_by` says which."""
    model, (computing, reading) = student_s(lab, config), decode(config, batch_size, context_len, dtypes).times(gpu)
    arguments = (model, gpu, batch_size, context_len, *dtypes)
    assert lab.decode_step_seconds(*arguments) == close(max(computing, reading))
    assert lab.tokens_per_second(*arguments) == close(batch_size / max(computing, reading))
    assert lab.bound_by(*arguments) == ("memory" if reading > computing else "compute")


@given(config=configs(), gpu=CARDS, batch_size=st.integers(1, 5), prompt_len=st.integers(1, 30), dtypes=DTYPES)
@settings(max_examples=40)
def test_a_prefill_takes_the_longer_of_two_times(
    lab: Any, config: ModelConfig, gpu: GPU, batch_size: int, prompt_len: int, dtypes: tuple[str, str]
) -> None:
    """Each token sees itself and those before it in its own prompt; weights are read once, every cache is written."""
    found = lab.prefill_seconds(student_s(lab, config), gpu, batch_size, prompt_len, *dtypes)
    assert found == close(max(prefill(config, batch_size, prompt_len, dtypes).times(gpu)))


@given(config=configs(), gpu=CARDS, batch_size=BATCHES, dtypes=DTYPES)
@settings(max_examples=20)
def test_a_prompt_of_one_token_is_a_decode_step(
    lab: Any, config: ModelConfig, gpu: GPU, batch_size: int, dtypes: tuple[str, str]
) -> None:
    """It sees one key, itself: both functions say the same."""
    model = student_s(lab, config)
    assert lab.prefill_seconds(model, gpu, batch_size, 1, *dtypes) == lab.decode_step_seconds(
        model, gpu, batch_size, 1, *dtypes
    )


@given(gpu=CARDS, flops=st.integers(0, 10**6), moved_bytes=st.integers(0, 10**6))
@settings(max_examples=30)
def test_neither_adds_to_the_other(lab: Any, gpu: GPU, flops: int, moved_bytes: int) -> None:
    """The longer of two times, of any amounts; and a card's ridge is a ratio, rarely a whole number."""
    computing, reading = Fraction(flops, gpu.flops_per_second), Fraction(moved_bytes, gpu.bytes_per_second)
    assert lab.roofline_seconds(gpu, flops, moved_bytes) == close(max(computing, reading))
    assert lab.ridge_point(gpu) == close(Fraction(gpu.flops_per_second, gpu.bytes_per_second))


def test_the_ridges_of_real_cards(lab: Any) -> None:
    """From the data sheets: between 78 and 419 FLOP a byte, none of them whole."""
    ridges = {name: lab.ridge_point(gpu) for name, gpu in GPUS.items()}
    assert {type(ridge) for ridge in ridges.values()} == {float}
    assert not any(ridge.is_integer() for ridge in ridges.values())
    assert ridges == {name: close(Fraction(gpu.flops_per_second, gpu.bytes_per_second)) for name, gpu in GPUS.items()}


# Where the two times cross


@given(
    config=configs(), batch_size=st.integers(1, 300), context_len=CONTEXTS, dtypes=DTYPES, unit=st.integers(1, 10**25)
)
@settings(max_examples=40)
def test_the_flip_is_exact_where_both_take_equally_long(
    lab: Any, config: ModelConfig, batch_size: int, context_len: int, dtypes: tuple[str, str], unit: int
) -> None:
    """A card made so that a batch computes exactly as long as it reads: this is the critical one, not the next."""
    step, model = decode(config, batch_size, context_len, dtypes), student_s(lab, config)
    gpu = GPU("tie", 1, bytes_per_second=step.bytes * unit, flops_per_second=step.flops * unit)
    computing, reading = step.times(gpu)
    assert computing == reading
    critical = lab.critical_batch_size(model, gpu, context_len, *dtypes)
    assert (type(critical), critical) == (int, batch_size)
    assert lab.bound_by(model, gpu, batch_size, context_len, *dtypes) == "compute"
    assert lab.bound_by(model, gpu, batch_size + 1, context_len, *dtypes) == "compute"
    if batch_size > 1:
        assert lab.bound_by(model, gpu, batch_size - 1, context_len, *dtypes) == "memory"


@given(config=configs(), batch_size=st.integers(1, 300), context_len=CONTEXTS, dtypes=DTYPES)
@settings(max_examples=30)
def test_a_breath_beyond_the_tie_it_takes_one_more(
    lab: Any, config: ModelConfig, batch_size: int, context_len: int, dtypes: tuple[str, str]
) -> None:
    """A chip one part in 10**25 faster, less than any float could tell: the batch of the tie is bound by memory again."""
    step, model = decode(config, batch_size, context_len, dtypes), student_s(lab, config)
    gpu = GPU("tie", 1, bytes_per_second=step.bytes * 10**25, flops_per_second=step.flops * 10**25 + 1)
    assert lab.bound_by(model, gpu, batch_size, context_len, *dtypes) == "memory"
    assert lab.critical_batch_size(model, gpu, context_len, *dtypes) == batch_size + 1
    assert lab.bound_by(model, gpu, batch_size + 1, context_len, *dtypes) == "compute"


@given(config=configs(), context_len=st.integers(1, 60), dtypes=DTYPES, unit=st.integers(1, 99))
@settings(max_examples=30)
def test_a_sequence_that_gains_nothing_never_makes_up_for_the_weights(
    lab: Any, config: ModelConfig, context_len: int, dtypes: tuple[str, str], unit: int
) -> None:
    """Its own bytes take as long as its operations, or longer: None. A little less, and some batch is large enough."""
    one, two = (decode(config, batch_size, context_len, dtypes) for batch_size in (1, 2))
    cache_bytes, model = two.bytes - one.bytes, student_s(lab, config)
    for faster_chip in (0, 1, one.flops):
        gpu = GPU("even", 1, bytes_per_second=cache_bytes * unit, flops_per_second=one.flops * unit + faster_chip)
        assert lab.critical_batch_size(model, gpu, context_len, *dtypes) is None
        assert lab.bound_by(model, gpu, 10**12, context_len, *dtypes) == "memory"
    gpu = GPU("odd", 1, bytes_per_second=cache_bytes * unit + 1, flops_per_second=one.flops * unit)
    critical = lab.critical_batch_size(model, gpu, context_len, *dtypes)
    assert critical == (one.bytes - cache_bytes) * unit
    assert lab.bound_by(model, gpu, critical, context_len, *dtypes) == "compute"


@given(config=configs(), gpu=CARDS, context_len=CONTEXTS, dtypes=DTYPES)
@settings(max_examples=40)
def test_intensity_and_ridge_say_the_same(
    lab: Any, config: ModelConfig, gpu: GPU, context_len: int, dtypes: tuple[str, str]
) -> None:
    """On any card: below the critical batch intensity is below the ridge, from it on it is not; without one it never gets there."""
    model, ridge = student_s(lab, config), Fraction(gpu.flops_per_second, gpu.bytes_per_second)
    critical = lab.critical_batch_size(model, gpu, context_len, *dtypes)
    for batch_size in (1, 2, 50) if critical is None else (critical - 1, critical, critical + 1):
        if 1 <= batch_size <= 5_000:
            step = decode(config, batch_size, context_len, dtypes)
            is_below = Fraction(step.flops, step.bytes) < ridge
            assert is_below == (critical is None or batch_size < critical)
            assert lab.bound_by(model, gpu, batch_size, context_len, *dtypes) == ("memory" if is_below else "compute")


# Figures


def test_llama_3_8b_on_an_a100(lab: Any) -> None:
    """8.03 ms a step and 0.05 of computing, 125 tokens a second, utilisation 0.64 %; 8.57 ms at a context of 8,192."""
    model = student_s(lab, LLAMA_3_8B)
    assert lab.decode_step_seconds(model, A100, 1, 0) == close(Fraction(16_060_522_496, 2 * 10**12))
    assert lab.tokens_per_second(model, A100, 1, 0) == pytest.approx(124.529, abs=0.001)
    assert lab.forward_flops(model, 1, 0) == 16_060_522_496
    assert lab.arithmetic_intensity(model, 1, 0) / lab.ridge_point(A100) == pytest.approx(0.00641, abs=0.00001)
    assert lab.decode_step_seconds(model, A100, 1, 8192) == pytest.approx(8.56713216e-3, rel=1e-9)
    assert lab.decode_step_seconds(model, A100, 32, 8192) == pytest.approx(25.21013043e-3, rel=1e-9)
    assert lab.prefill_seconds(model, A100, 1, 2000) == pytest.approx(106.314568e-3, rel=1e-6)


def test_context_moves_the_critical_batch_until_there_is_none(lab: Any) -> None:
    """Llama 3 of 8B on an A100: 156 without context, 310 at 400 tokens, 952,773 at 806, and from 807 on none."""
    model = student_s(lab, LLAMA_3_8B)
    found = [lab.critical_batch_size(model, A100, context_len) for context_len in (0, 1, 100, 400, 700, 806, 807, 8192)]
    assert found == [156, 157, 179, 310, 1185, 952_773, None, None]


def test_a_larger_batch_gives_more_tokens_and_longer_context_fewer(lab: Any) -> None:
    """Weights are shared, caches are not. Fewer bits of either make a step that waits for memory shorter."""
    model = student_s(lab, LLAMA_3_8B)
    by_batch = [lab.tokens_per_second(model, A100, batch_size, 1_000) for batch_size in (1, 2, 8, 32)]
    by_context = [lab.tokens_per_second(model, A100, 8, context_len) for context_len in (4_000, 2_000, 500, 0)]
    by_bits = [
        lab.tokens_per_second(model, A100, 8, 4_000, *dtypes)
        for dtypes in (("bf16", "bf16"), ("bf16", "int8"), ("int8", "int8"), ("int4", "int8"))
    ]
    for rising in (by_batch, by_context, by_bits):
        assert rising[0] < rising[1] < rising[2] < rising[3]
    assert by_batch[1] < 2 * by_batch[0]


def test_steps_that_cannot_be_are_refused(lab: Any) -> None:
    """No sequences, half a one, a negative context, an empty prompt, an unknown dtype: a ValueError that names it, and its value."""
    model = student_s(lab, LLAMA_3_8B)
    steps: list[Callable[..., Any]] = [
        lambda *step: lab.arithmetic_intensity(model, *step),
        lambda *step: lab.decode_step_seconds(model, A100, *step),
        lambda *step: lab.tokens_per_second(model, A100, *step),
        lambda *step: lab.bound_by(model, A100, *step),
    ]
    refusals = [
        *((step, (value, 1), "batch_size", str(value)) for step in steps for value in (0, -7, 2.5, True)),
        *((step, (1, value), "context_len", str(value)) for step in steps for value in (-1, -7, 2.5)),
        *((step, (1, 1, "int7"), "dtype", "'int7'") for step in steps),
        *((step, (1, 1, "bf16", "int7"), "dtype", "'int7'") for step in steps),
        *((lambda n: lab.prefill_seconds(model, A100, n, 1), (value,), "batch_size", str(value)) for value in (0, -7)),
        *((lambda n: lab.prefill_seconds(model, A100, 1, n), (value,), "prompt_len", str(value)) for value in (0, -7)),
        (lambda n: lab.critical_batch_size(model, A100, n), (-7,), "context_len", "-7"),
        (lambda name: lab.critical_batch_size(model, A100, 1, name), ("int7",), "dtype", "'int7'"),
    ]
    for call, arguments, name, value in refusals:
        with pytest.raises(ValueError) as refused:
            call(*arguments)
        assert name in str(refused.value) and value in str(refused.value)
    assert all(step(1, 0) for step in steps)
