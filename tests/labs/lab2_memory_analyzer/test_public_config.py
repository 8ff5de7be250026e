"""A first look at the parameters of a model: models small enough to count with pencil and paper."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.exercise("parameters")

# Four query heads of 3 numbers on two heads of keys and values: queries are 12 wide, keys and values 6.
LLAMA = {
    "num_layers": 2,
    "hidden_size": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 3,
    "intermediate_size": 10,
    "vocab_size": 20,
    "max_seq_len": 16,
    "tie_word_embeddings": False,
    "family": "llama",
}
GPT2 = LLAMA | {
    "num_key_value_heads": 4,
    "head_dim": 2,
    "intermediate_size": 32,
    "tie_word_embeddings": True,
    "family": "gpt2",
}
# What a LlamaConfig and a GPT2Config say of these two models; a GPT2Config has never heard of shared heads.
LLAMA_SAYS = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 3,
    "intermediate_size": 10,
    "vocab_size": 20,
    "max_position_embeddings": 16,
    "tie_word_embeddings": False,
}
GPT2_SAYS = {
    "model_type": "gpt2",
    "num_hidden_layers": 2,
    "hidden_size": 8,
    "num_attention_heads": 4,
    "n_inner": None,
    "vocab_size": 20,
    "max_position_embeddings": 16,
    "tie_word_embeddings": True,
}


def read(lab: Any, says: dict[str, Any]) -> dict[str, Any]:
    """The sizes that are read from a configuration that says this, and nothing else."""
    config = lab.ModelConfig.from_hf(lab.given("types", "SimpleNamespace")(**says))
    return {name: getattr(config, name) for name in LLAMA}


def test_a_layer_of_llama_has_seven_matrices(lab: Any) -> None:
    """Queries, keys, values, output; then gate, up and down. Rows are what comes out, columns what goes in."""
    attention = [(12, 8), (6, 8), (6, 8), (8, 12)]
    mlp = [(10, 8), (10, 8), (8, 10)]
    assert lab.layer_matrices(lab.ModelConfig(**LLAMA)) == attention + mlp


def test_a_layer_of_gpt2_has_two_norms_and_a_bias_at_each_matrix(lab: Any) -> None:
    """Two norms of a factor and an offset each: 4 vectors of 8. Then a bias as long as each matrix has rows."""
    config = lab.ModelConfig(**GPT2)
    assert lab.layer_matrices(config) == [(24, 8), (8, 8), (32, 8), (8, 32)]
    assert lab.layer_vectors(config) == [8, 8, 8, 8, 24, 8, 32, 8]


def test_outside_the_layers_stand_embedding_positions_and_head(lab: Any) -> None:
    """Only GPT-2 learns its 16 positions, and a tied head is no second matrix."""
    embedding, positions = (20, 8), (16, 8)
    for sizes, tied in ((LLAMA, [embedding]), (GPT2, [embedding, positions])):
        assert lab.outer_matrices(lab.ModelConfig(**sizes | {"tie_word_embeddings": True})) == tied
        assert lab.outer_matrices(lab.ModelConfig(**sizes | {"tie_word_embeddings": False})) == [*tied, embedding]


def test_parameters_by_hand(lab: Any) -> None:
    """Llama: 528 numbers in a layer's matrices, 16 in its norms, 320 and 8 outside. GPT-2: 768, 104, 288 and 16."""
    assert lab.num_parameters(lab.ModelConfig(**LLAMA)) == 2 * (528 + 16) + 320 + 8
    assert lab.num_parameters(lab.ModelConfig(**GPT2)) == 2 * (768 + 104) + 288 + 16


def test_llama_3_8b_has_eight_billion(lab: Any) -> None:
    """8,030,261,248 to be exact, and GPT-2 small, called 124M, has 124,439,808."""
    llama = lab.ModelConfig(32, 4096, 32, 8, 128, 14336, 128256, 8192, False, "llama")
    gpt2 = lab.ModelConfig(12, 768, 12, 12, 64, 3072, 50257, 1024, True, "gpt2")
    assert lab.num_parameters(llama) == 8_030_261_248
    assert lab.num_parameters(gpt2) == 124_439_808


def test_a_configuration_is_read_as_it_says(lab: Any) -> None:
    """Each size is where the configuration says it, under its own name for it."""
    assert read(lab, LLAMA_SAYS) == LLAMA


def test_what_a_configuration_leaves_out_follows_from_the_rest(lab: Any) -> None:
    """Without KV heads, or with None there, no head shares. Without head_dim, four heads share 8 numbers: 2 each."""
    assert read(lab, GPT2_SAYS) == GPT2
    unsaid = LLAMA | {"num_key_value_heads": 4, "head_dim": 2}
    assert read(lab, LLAMA_SAYS | {"num_key_value_heads": None, "head_dim": None}) == unsaid
    assert read(lab, LLAMA_SAYS | {"head_dim": None}) == LLAMA | {"head_dim": 2}


def test_what_makes_no_model_is_refused(lab: Any) -> None:
    """No layers, or four query heads on three: a ValueError that names the size and its value."""
    for name, value in (("num_layers", 0), ("num_key_value_heads", 3)):
        with pytest.raises(ValueError) as refused:
            lab.ModelConfig(**LLAMA | {name: value})
        assert name in str(refused.value) and str(value) in str(refused.value)
    assert lab.num_parameters(lab.ModelConfig(**LLAMA | {"num_layers": 1})) == 1 * (528 + 16) + 320 + 8
