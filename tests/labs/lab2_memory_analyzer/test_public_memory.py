"""A first look at memory: a model of 63 parameters, each byte of which can be counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

weights = pytest.mark.exercise("weights")
training = pytest.mark.exercise("training")
inference = pytest.mark.exercise("inference")

# One layer: matrices of 36 + 9 numbers, two norms of 3. Outside: an embedding of 3 x 3, tied, and a norm of 3.
TINY = {
    "num_layers": 1,
    "hidden_size": 3,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "head_dim": 3,
    "intermediate_size": 1,
    "vocab_size": 3,
    "max_seq_len": 2,
    "tie_word_embeddings": True,
    "family": "llama",
}
PARAMETERS = 36 + 9 + 6 + 9 + 3
LLAMA_3_8B = (32, 4096, 32, 8, 128, 14336, 128256, 8192, False, "llama")
LLAMA_2_13B = (40, 5120, 40, 40, 128, 13824, 32000, 4096, False, "llama")
# The model of the paper: 96 layers of 96 heads.
GPT_3 = (96, 12288, 96, 96, 128, 49152, 50257, 2048, True, "gpt2")


# Weights


@weights
def test_63_parameters_in_every_dtype(lab: Any) -> None:
    """4, 2 and 1 byte each. At 4 bits they are 31 bytes and a half, and half a byte takes a whole one."""
    config = lab.ModelConfig(**TINY)
    assert lab.num_parameters(config) == PARAMETERS == 63
    found = {dtype: lab.weights_bytes(config, dtype) for dtype in ("fp32", "fp16", "bf16", "fp8", "int8", "int4")}
    assert found == {"fp32": 252, "fp16": 126, "bf16": 126, "fp8": 63, "int8": 63, "int4": 32}
    assert {type(count) for count in found.values()} == {int}


@weights
def test_weights_are_16_bits_unless_said_otherwise(lab: Any) -> None:
    """Llama 3 of 8B takes 16.06 GB."""
    assert lab.weights_bytes(lab.ModelConfig(*LLAMA_3_8B)) == 16_060_522_496


@weights
def test_four_bits_save_three_quarters_of_the_weights(lab: Any) -> None:
    """Llama 2 of 13B: 26.03 GB in bf16, 6.51 GB in int4."""
    config = lab.ModelConfig(*LLAMA_2_13B)
    assert lab.weights_bytes(config, "bf16") == 26_031_728_640
    assert lab.weights_bytes(config, "int4") == 6_507_932_160


@weights
def test_an_unknown_dtype_is_refused(lab: Any) -> None:
    """A ValueError that names it; int8 is none of these."""
    with pytest.raises(ValueError) as refused:
        lab.weights_bytes(lab.ModelConfig(**TINY), "int7")
    assert "dtype" in str(refused.value) and "int7" in str(refused.value)
    assert lab.weights_bytes(lab.ModelConfig(**TINY), "int8") == 63


# Training


@training
def test_adam_takes_16_bytes_a_parameter(lab: Any) -> None:
    """2 for the weight, 2 for its gradient, 4 for the master copy, 4 and 4 for the two moments, however large the batch."""
    memory = lab.training_memory(lab.ModelConfig(**TINY), 2, 5)
    assert memory.weights_bytes == 2 * 63
    assert memory.gradients_bytes == 2 * 63
    assert memory.optimizer_bytes == (4 + 4 + 4) * 63
    assert memory.kv_cache_bytes == 0


@training
def test_gradients_added_up_in_fp32_take_two_bytes_more(lab: Any) -> None:
    """18 bytes a parameter instead of 16: 4 for the gradient, in place of 2."""
    memory = lab.training_memory(lab.ModelConfig(**TINY), 1, 1, fp32_gradients=True)
    assert memory.gradients_bytes == 4 * 63
    assert memory.total_bytes - memory.activations_bytes == 18 * 63


@training
def test_what_each_optimizer_keeps(lab: Any) -> None:
    """All keep the master copy, 4 bytes. SGD keeps nothing else; with momentum it keeps one mean, 4 bytes more."""
    config = lab.ModelConfig(**TINY)
    assert lab.optimizer_bytes(config, "sgd") == 4 * 63
    assert lab.optimizer_bytes(config, "sgd_momentum") == 8 * 63
    assert lab.optimizer_bytes(config, "adam") == 12 * 63


@training
def test_adafactor_keeps_a_number_for_each_row_and_column(lab: Any) -> None:
    """Five matrices of 3 + 3, three of 1 + 3, and three vectors of 3: 51 numbers where Adam has 126."""
    config = lab.ModelConfig(**TINY)
    assert lab.factored_moment(config) == 5 * (3 + 3) + 3 * (1 + 3) + 3 * 3
    assert lab.optimizer_bytes(config, "adafactor") == 4 * 63 + 4 * 51


@training
def test_activations_by_hand(lab: Any) -> None:
    """2 texts of 5 tokens of 3 numbers: 34 bytes for each of 30, and 5 for each of 2 * 5 * 5 pairs of tokens."""
    config = lab.ModelConfig(**TINY)
    assert lab.activation_bytes(config, 2, 5) == 34 * 30 + 5 * 50
    assert lab.activation_bytes(config, 2, 5, fused_attention=True) == 34 * 30
    assert lab.activation_bytes(config, 2, 5, checkpointing=True) == 2 * 30


@training
def test_every_query_head_has_scores_of_its_own(lab: Any) -> None:
    """Two of them on a single head of keys: twice the pairs, for which 5 bytes each are kept."""
    config = lab.ModelConfig(**TINY | {"num_attention_heads": 2})
    assert lab.activation_bytes(config, 2, 5) == 34 * 30 + 5 * 2 * 50


@training
def test_the_scores_are_most_of_gpt_3_s_activations(lab: Any) -> None:
    """At 2,048 tokens 5 * a * s / h is 80, beside the 34: 114 bytes for each number of a layer's input."""
    config, numbers = lab.ModelConfig(*GPT_3), 96 * 2048 * 12288
    assert lab.activation_bytes(config, 1, 2048) == 114 * numbers
    assert lab.activation_bytes(config, 1, 2048, fused_attention=True) == 34 * numbers


@training
def test_an_unknown_optimizer_and_an_empty_batch_are_refused(lab: Any) -> None:
    """A ValueError that names what is wrong, and its value. The same call with "sgd" and 1 is none of these."""
    config = lab.ModelConfig(**TINY)
    for arguments, name, value in (((1, 1, "lion"), "optimizer", "lion"), ((0, 1, "sgd"), "batch_size", "0")):
        with pytest.raises(ValueError) as refused:
            lab.training_memory(config, *arguments)
        assert name in str(refused.value) and value in str(refused.value)
    assert lab.training_memory(config, 1, 1, "sgd").total_bytes == (2 + 2 + 4) * 63 + 34 * 3 + 5


# Inference


@inference
def test_a_layer_at_work_by_hand(lab: Any) -> None:
    """7 tokens, each with two vectors of 3 numbers and three of 1, of 2 bytes. GPT-2 has two of its inner vectors."""
    llama = lab.ModelConfig(**TINY)
    gpt2 = lab.ModelConfig(**TINY | {"intermediate_size": 12, "family": "gpt2"})
    assert lab.working_bytes(llama, 7) == 7 * (2 * 3 + 3 * 1) * 2
    assert lab.working_bytes(gpt2, 7) == 7 * (2 * 3 + 2 * 12) * 2
    assert lab.working_bytes(llama, 7, "fp32") == 2 * lab.working_bytes(llama, 7)


@inference
def test_quantized_weights_are_unpacked_to_compute(lab: Any) -> None:
    """A layer of 8 or of 4 bits still works with numbers of 16."""
    config = lab.ModelConfig(**TINY)
    assert lab.working_bytes(config, 7, "int8") == lab.working_bytes(config, 7, "int4") == 126


@inference
def test_inference_takes_weights_cache_and_one_layer_at_work(lab: Any) -> None:
    """2 texts of 5 tokens: 126 bytes, 10 tokens * 12 in the cache, 10 * 18 at work. Nothing else, and the sum is 426."""
    memory = lab.inference_memory(lab.ModelConfig(**TINY), 2, 5)
    assert memory.components == {
        "weights_bytes": 126,
        "gradients_bytes": 0,
        "optimizer_bytes": 0,
        "activations_bytes": 180,
        "kv_cache_bytes": 120,
    }
    assert memory.total_bytes == 426


@inference
def test_a_layer_more_needs_no_more_room_to_work_in(lab: Any) -> None:
    """Layers take turns in the same memory; only their weights and their cache add up."""
    one, six = (lab.inference_memory(lab.ModelConfig(**TINY | {"num_layers": count}), 2, 5) for count in (1, 6))
    assert one.activations_bytes == six.activations_bytes == 180
    assert (one.kv_cache_bytes, six.kv_cache_bytes) == (120, 6 * 120)


@inference
def test_weights_and_cache_have_each_their_own_dtype(lab: Any) -> None:
    """Weights of 4 bits beside a cache of 16, and weights of 16 beside a cache of 8."""
    config = lab.ModelConfig(**TINY)
    packed, small_cache = lab.inference_memory(config, 2, 5, "int4"), lab.inference_memory(config, 2, 5, "bf16", "int8")
    assert (packed.weights_bytes, packed.kv_cache_bytes) == (32, 120)
    assert (small_cache.weights_bytes, small_cache.kv_cache_bytes) == (126, 60)


@inference
def test_in_decoding_a_step_has_a_token_of_each_sequence(lab: Any) -> None:
    """2 texts of 5 tokens in the cache, 2 tokens in the step: 2 * 18 bytes at work, the cache as before."""
    memory = lab.inference_memory(lab.ModelConfig(**TINY), 2, 5, tokens_per_step=2)
    assert (memory.activations_bytes, memory.kv_cache_bytes) == (2 * 18, 120)


@inference
def test_a_comparison_has_four_breakdowns(lab: Any) -> None:
    """Training first, then inference with weights of 16, 8 and 4 bits. Of these four only training has gradients."""
    compared = lab.compare(lab.ModelConfig(**TINY), 2, 5)
    totals = {name: compared[name].total_bytes for name in ("training", "fp16", "int8", "int4")}
    assert totals == {"training": 16 * 63 + 1270, "fp16": 426, "int8": 426 - 63, "int4": 426 - 94}
    assert [name for name in totals if compared[name].gradients_bytes] == ["training"]
