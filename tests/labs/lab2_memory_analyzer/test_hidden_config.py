"""What config.py promises of any Llama and any GPT-2: the parameters of the real architecture, shape by shape.

The oracle is transformers: its models are built on the `meta` device, where they have shapes and no
numbers. Its configurations are built twice, here and beside the student's code, which reads them there.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from solutions.lab2_memory_analyzer.config import ModelConfig

pytestmark = pytest.mark.exercise("parameters")

MODELS = {"LlamaConfig": transformers.LlamaForCausalLM, "GPT2Config": transformers.GPT2LMHeadModel}
KINDS = ["llama", "llama with shared heads", "llama with a head_dim of its own", "gpt2", "gpt2 with an n_inner"]


@dataclass(frozen=True)
class Real:
    """A configuration of transformers, as the name of its class and what that is called with."""

    kind: str
    options: dict[str, Any]

    def here(self) -> Any:
        return getattr(transformers, self.kind)(**self.options)

    def there(self, lab: Any) -> Any:
        """The same, built in the student's process."""
        return lab.given("transformers", self.kind)(**self.options)

    def model(self) -> Any:
        """The real architecture, without numbers."""
        with torch.device("meta"):
            return MODELS[self.kind](self.here())


@st.composite
def real_configs(draw: st.DrawFn, kind: str, is_tied: bool) -> Real:
    """Configurations of one kind. No two sizes need be equal, and heads are shared, or stated, where `kind` says so."""
    kv_heads, width = draw(st.integers(1, 3)), draw(st.sampled_from([2, 4, 6]))
    heads = kv_heads * (draw(st.integers(2, 3)) if "shared" in kind else 1)
    options = {
        "num_hidden_layers": draw(st.integers(1, 3)),
        "num_attention_heads": heads,
        "hidden_size": heads * width,
        "vocab_size": draw(st.integers(3, 99)),
        "max_position_embeddings": draw(st.integers(2, 99)),
        "tie_word_embeddings": is_tied,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    inner = draw(st.integers(1, 99))
    if "gpt2" in kind:
        return Real("GPT2Config", options | {"n_inner": inner if "n_inner" in kind else None})
    stated = {"head_dim": width + 2} if "head_dim" in kind else {}
    shared = {"num_key_value_heads": kv_heads} if "shared" in kind else {}
    return Real("LlamaConfig", options | {"intermediate_size": inner} | stated | shared)


def shapes(model: Any, in_layers: bool) -> tuple[list[tuple[int, int]], list[int]]:
    """The real matrices (rows are what comes out) and vectors, inside the layers or outside, sorted."""
    matrices, vectors = [], []
    for name, parameter in model.named_parameters():
        if bool(re.search(r"\.\d+\.", name)) != in_layers:
            continue
        if parameter.ndim == 1:
            vectors.append(len(parameter))
            continue
        # GPT-2 in transformers stores the matrices of its layers the other way round.
        is_turned = in_layers and name.startswith("transformer.")
        matrices.append(tuple(parameter.shape[::-1] if is_turned else parameter.shape))
    return sorted(matrices), sorted(vectors)


def student_s(lab: Any, config: ModelConfig) -> Any:
    return lab.ModelConfig(**asdict(config))


@pytest.mark.weight(0.5)
@pytest.mark.parametrize("is_tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=8)
def test_parameters_are_those_of_the_real_architecture(lab: Any, kind: str, is_tied: bool, data: st.DataObject) -> None:
    """Llama and GPT-2, tied or not, heads shared or not: the number that transformers' own model has, as an integer."""
    real = data.draw(real_configs(kind, is_tied), label="configuration")
    found = lab.num_parameters(lab.ModelConfig.from_hf(real.there(lab)))
    assert type(found) is int
    assert found == sum(parameter.numel() for parameter in real.model().parameters())


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), is_tied=st.booleans())
@settings(max_examples=8)
def test_every_parameter_has_the_shape_it_really_has(lab: Any, kind: str, data: st.DataObject, is_tied: bool) -> None:
    """Matrices with their rows and columns, and vectors, in a layer and outside: those of the real model, all of them."""
    real = data.draw(real_configs(kind, is_tied), label="configuration")
    config, model = student_s(lab, ModelConfig.from_hf(real.here())), real.model()
    layers = real.options["num_hidden_layers"]
    matrices, vectors = shapes(model, in_layers=True)
    assert sorted(layers * lab.layer_matrices(config)) == matrices
    assert sorted(layers * lab.layer_vectors(config)) == vectors
    assert (sorted(lab.outer_matrices(config)), sorted(lab.outer_vectors(config))) == shapes(model, in_layers=False)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), is_tied=st.booleans())
@settings(max_examples=8)
def test_every_size_is_read_from_a_real_configuration(lab: Any, kind: str, data: st.DataObject, is_tied: bool) -> None:
    """Layers, heads, widths, vocabulary and positions: each is what a LlamaConfig or a GPT2Config of transformers says."""
    real = data.draw(real_configs(kind, is_tied), label="configuration")
    said, model = real.here(), real.model()
    is_llama = real.kind == "LlamaConfig"
    first = model.model.layers[0] if is_llama else model.transformer.h[0]
    head_dim = first.self_attn.head_dim if is_llama else first.attn.head_dim
    expected = {
        "num_layers": said.num_hidden_layers,
        "hidden_size": said.hidden_size,
        "num_attention_heads": said.num_attention_heads,
        "num_key_value_heads": first.self_attn.k_proj.out_features // head_dim if is_llama else said.n_head,
        "head_dim": head_dim,
        "intermediate_size": first.mlp.up_proj.out_features if is_llama else first.mlp.c_fc.nf,
        "vocab_size": said.vocab_size,
        "max_seq_len": said.max_position_embeddings,
        "tie_word_embeddings": is_tied,
        "family": "llama" if is_llama else "gpt2",
    }
    config = lab.ModelConfig.from_hf(real.there(lab))
    assert {name: getattr(config, name) for name in expected} == expected


@pytest.mark.weight(2)
def test_none_says_nothing(lab: Any) -> None:
    """None for a head_dim is an even share for each query head, however many share keys; None for KV heads is all of them."""
    said = lab.given("transformers", "LlamaConfig")(
        hidden_size=60, num_attention_heads=6, num_key_value_heads=2, head_dim=16
    )
    found = []
    for left_out in ((), ("head_dim",), ("head_dim", "num_key_value_heads")):
        for name in left_out:
            setattr(said, name, None)
        config = lab.ModelConfig.from_hf(said)
        found.append((config.num_key_value_heads, config.head_dim))
    assert found == [(2, 16), (2, 10), (6, 10)]


KNOWN = [
    (ModelConfig(12, 768, 12, 12, 64, 3072, 50257, 1024, True, "gpt2"), 124_439_808),
    (ModelConfig(48, 1600, 25, 25, 64, 6400, 50257, 1024, True, "gpt2"), 1_557_611_200),
    (ModelConfig(32, 4096, 32, 32, 128, 11008, 32000, 4096, False, "llama"), 6_738_415_616),
    (ModelConfig(40, 5120, 40, 40, 128, 13824, 32000, 4096, False, "llama"), 13_015_864_320),
    (ModelConfig(32, 4096, 32, 8, 128, 14336, 128256, 8192, False, "llama"), 8_030_261_248),
    (ModelConfig(80, 8192, 64, 8, 128, 28672, 128256, 8192, False, "llama"), 70_553_706_496),
    (ModelConfig(16, 2048, 32, 8, 64, 8192, 128256, 131072, True, "llama"), 1_235_814_400),
]


def test_known_models_have_their_known_numbers(lab: Any) -> None:
    """GPT-2 small and XL, Llama 2 of 7B and 13B, Llama 3 of 1B, 8B and 70B, to the last parameter."""
    for config, number in KNOWN:
        assert lab.num_parameters(student_s(lab, config)) == number
    for kind, number in (("GPT2Config", 124_439_808), ("LlamaConfig", 6_738_415_616)):
        assert lab.num_parameters(lab.ModelConfig.from_hf(lab.given("transformers", kind)())) == number


@given(known=st.sampled_from([config for config, _ in KNOWN]), layers=st.integers(1, 200))
@settings(max_examples=15)
def test_a_layer_more_adds_what_any_layer_adds(lab: Any, known: ModelConfig, layers: int) -> None:
    """Parameters grow by the same number with every layer, and what stands outside the layers is there once."""
    one, two, many = (
        lab.num_parameters(lab.ModelConfig(**asdict(known) | {"num_layers": count})) for count in (1, 2, 1 + layers)
    )
    assert many - one == layers * (two - one) > 0


LLAMA, GPT2 = asdict(KNOWN[4][0]), asdict(KNOWN[0][0])
NO_MODELS = [
    *((LLAMA, name, value) for name, size in LLAMA.items() if type(size) is int for value in (0, -7, 2.5, True)),
    (LLAMA, "num_key_value_heads", 5),
    (GPT2, "num_key_value_heads", 4),
    (GPT2, "head_dim", 63),
    (LLAMA, "family", "bert"),
]


def test_sizes_that_make_no_model_are_refused(lab: Any) -> None:
    """Each size that is no count of at least 1, heads that cannot be shared evenly, an unknown family: named, with its value."""
    assert len(NO_MODELS) == 8 * 4 + 4
    for sizes, name, value in NO_MODELS:
        with pytest.raises(ValueError) as refused:
            lab.ModelConfig(**sizes | {name: value})
        assert name in str(refused.value) and str(value) in str(refused.value)
    assert lab.num_parameters(lab.ModelConfig(**LLAMA)) == 8_030_261_248


def test_configurations_with_other_parameters_are_refused(lab: Any) -> None:
    """Another architecture, biases in Llama, cross-attention in GPT-2: no wrong count, but a ValueError that names it."""
    for kind, options, words in (
        ("Qwen2Config", {}, ("model_type", "qwen2")),
        ("LlamaConfig", {"attention_bias": True}, ("attention_bias", "True")),
        ("LlamaConfig", {"mlp_bias": True}, ("mlp_bias", "True")),
        ("GPT2Config", {"add_cross_attention": True}, ("add_cross_attention", "True")),
    ):
        with pytest.raises(ValueError) as refused:
            lab.ModelConfig.from_hf(lab.given("transformers", kind)(**options))
        assert all(word in str(refused.value) for word in words)
    assert lab.ModelConfig.from_hf(lab.given("transformers", "LlamaConfig")()).num_key_value_heads == 32
