"""Where the bytes go: weights, and what training and inference keep beside them.

Training keeps gradients, the optimizer's numbers and activations for the backward pass; inference keeps a KV
cache and has one layer's activations at work. What a framework adds is not counted: fragments between
tensors, workspaces of kernels, and the logits, which a large vocabulary makes large.

Bytes are integers, exact. GB is 10**9 bytes, GiB is 2**30.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from shared.hardware import GB, GIB, bits_of

from .config import (
    ModelConfig,
    layer_matrices,
    layer_vectors,
    num_parameters,
    outer_matrices,
    outer_vectors,
    require_count,
)
from .kv_cache_size import kv_cache_bytes

OPTIMIZERS = ("adam", "sgd_momentum", "sgd", "adafactor")


@dataclass(frozen=True, slots=True)
class MemoryBreakdown:
    """Bytes by what they are for; what a run does not have takes 0.

    Attributes:
        optimizer_bytes: the fp32 master copy of the weights and the moments.
        activations_bytes: in training what is kept for the backward pass; in inference what one layer works with.
    """

    weights_bytes: int = 0
    gradients_bytes: int = 0
    optimizer_bytes: int = 0
    activations_bytes: int = 0
    kv_cache_bytes: int = 0

    @property
    def components(self) -> dict[str, int]:
        """The parts by name, in the order above."""
        return asdict(self)

    @property
    def total_bytes(self) -> int:
        """All parts together."""
        return sum(self.components.values())

    @property
    def total_gb(self) -> float:
        """The total in GB, 10**9 bytes."""
        return self.total_bytes / GB

    @property
    def total_gib(self) -> float:
        """The total in GiB, 2**30 bytes."""
        return self.total_bytes / GIB


def weights_bytes(config: ModelConfig, dtype: str = "bf16") -> int:
    """Bytes of all parameters, packed one behind the other. The last byte counts even if only half of it is used.

    Example: 51 parameters take 204 bytes in fp32, 102 in bf16, 51 in int8, 26 in int4.

    Raises:
        ValueError: an unknown dtype.
    """
    # subtle: bits are multiplied before they are divided, in integers. 4 bits are no whole byte.
    return (num_parameters(config) * bits_of(dtype) + 7) // 8  # blank Q10


def training_memory(
    config: ModelConfig,
    batch_size: int,
    seq_len: int,
    optimizer: str = "adam",
    *,
    fp32_gradients: bool = False,
    fused_attention: bool = False,
    checkpointing: bool = False,
) -> MemoryBreakdown:
    """What training in mixed precision takes, on one card (Micikevicius et al. 2018; Rajbhandari et al. 2020, ZeRO).

    Weights and activations are 16-bit. So are gradients, a number for each parameter, unless they are
    accumulated in fp32 over several batches (`fp32_gradients`).

    Args:
        optimizer: as `optimizer_bytes` takes it.
        fused_attention, checkpointing: as `activation_bytes` takes them.

    Raises:
        ValueError: a count less than 1, or an unknown optimizer.
    """
    gradients_bytes = num_parameters(config) * (4 if fp32_gradients else 2)  # blank Q11
    return MemoryBreakdown(
        weights_bytes=weights_bytes(config, "bf16"),
        gradients_bytes=gradients_bytes,
        optimizer_bytes=optimizer_bytes(config, optimizer),
        activations_bytes=activation_bytes(
            config, batch_size, seq_len, fused_attention=fused_attention, checkpointing=checkpointing
        ),
    )


def optimizer_bytes(config: ModelConfig, optimizer: str) -> int:
    """What an optimizer keeps from step to step, all of it in fp32.

    First a master copy of the weights: a step is often too small to change a 16-bit number, so steps add up in
    the copy. Then the moments, running means of gradients. "adam" keeps two for each parameter, of the gradient
    and of its square (Kingma & Ba 2015), "sgd_momentum" one, "sgd" none. "adafactor" keeps `factored_moment`.

    Raises:
        ValueError: an unknown optimizer.
    """
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {optimizer!r}")
    parameters = num_parameters(config)
    ### BEGIN SOLUTION Q12
    moments = {"adam": 2 * parameters, "sgd_momentum": parameters, "sgd": 0, "adafactor": factored_moment(config)}
    return 4 * (parameters + moments[optimizer])
    ### END SOLUTION


def factored_moment(config: ModelConfig) -> int:
    """How many numbers Adafactor keeps of the gradients' squares (Shazeer & Stern 2018).

    Of a matrix it keeps a mean for each row and one for each column, and takes their product, scaled, for the
    element where they cross. A vector can't be factored and keeps a number for each element.

    Example: a matrix of 3 rows and 4 columns and a vector of 5 -> 3 + 4 + 5 = 12, where Adam has 3 * 4 + 5 = 17.
    """
    matrices = config.num_layers * layer_matrices(config) + outer_matrices(config)
    vectors = config.num_layers * layer_vectors(config) + outer_vectors(config)
    return sum(rows + columns for rows, columns in matrices) + sum(vectors)  # blank Q13


def activation_bytes(
    config: ModelConfig, batch_size: int, seq_len: int, *, fused_attention: bool = False, checkpointing: bool = False
) -> int:
    """What the forward pass keeps for the backward pass, all layers (Korthikanti et al. 2022, section 4).

    In 16-bit training with b sequences of s tokens, h numbers a token and a heads, a layer keeps
    s * b * h * (34 + 5 * a * s / h) bytes. The term with 5 is, for each pair of tokens of a sequence, the softmax of
    their score (2), dropout's mask (1) and its output (2). A fused kernel (FlashAttention) makes them anew instead of
    keeping them.

    With full checkpointing a layer keeps only its input, s * b * h numbers of 16 bits, and everything else is
    computed a second time: a third more work, since backward is twice the work of forward. (For a moment the
    layer being recomputed comes on top. As in the paper, it is not counted.)

    The 34 is that of GPT: dropout, GELU, an MLP four times as wide as the token. For Llama, whose MLP has a gate, it
    is an estimate, and too low.

    Raises:
        ValueError: a count less than 1.
    """
    require_count("batch_size", batch_size)
    require_count("seq_len", seq_len)
    numbers = batch_size * seq_len * config.hidden_size
    scores = batch_size * config.num_attention_heads * seq_len * seq_len  # blank Q14
    scores_bytes = 0 if fused_attention else 5 * scores
    layer_bytes = 2 * numbers if checkpointing else 34 * numbers + scores_bytes  # blank Q15
    return config.num_layers * layer_bytes


def inference_memory(
    config: ModelConfig,
    batch_size: int,
    seq_len: int,
    dtype: str = "bf16",
    kv_dtype: str = "bf16",
    tokens_per_step: int | None = None,
) -> MemoryBreakdown:
    """What inference takes: the weights, the KV cache, one layer's working activations, and nothing else.

    Args:
        batch_size, seq_len: sequences, and tokens that each has in the cache.
        dtype, kv_dtype: of the weights and of the cache.
        tokens_per_step: how many tokens pass through a layer together. None: all prompts at once, whole. In
            decoding it is `batch_size`, with chunked prefill (lab 5) the budget of a step.

    Raises:
        ValueError: a count less than 1, or an unknown dtype.
    """
    require_count("batch_size", batch_size)
    require_count("seq_len", seq_len)
    tokens = batch_size * seq_len if tokens_per_step is None else tokens_per_step
    require_count("tokens_per_step", tokens)
    ### BEGIN SOLUTION Q16
    return MemoryBreakdown(
        weights_bytes=weights_bytes(config, dtype),
        activations_bytes=working_bytes(config, tokens, dtype),
        kv_cache_bytes=kv_cache_bytes(config, batch_size, seq_len, kv_dtype),
    )
    ### END SOLUTION


def working_bytes(config: ModelConfig, tokens: int, dtype: str = "bf16") -> int:
    """What a layer works with at its widest place, in the middle of the MLP, for all its tokens together.

    Each token then has two vectors of `hidden_size`, the residual and the normalised input, and some of
    `intermediate_size`: what goes into the activation function and what comes out, 2, and with Llama's gate also
    their product, 3. The next layer uses the same memory again.

    Numbers are as wide as the weights, but never less than 16 bits: quantized weights are unpacked to compute.

    Example: 7 tokens, hidden_size 4, intermediate_size 10, bf16 -> 7 * (2 * 4 + 3 * 10) * 2 = 532 for Llama.

    Raises:
        ValueError: `tokens` is less than 1, or an unknown dtype.
    """
    require_count("tokens", tokens)
    wide_vectors = 3 if config.family == "llama" else 2
    numbers = tokens * (2 * config.hidden_size + wide_vectors * config.intermediate_size)  # blank Q17
    return numbers * max(16, bits_of(dtype)) // 8


def compare(config: ModelConfig, batch_size: int, seq_len: int, optimizer: str = "adam") -> dict[str, MemoryBreakdown]:
    """The same model trained, and served with weights of 16, 8 and 4 bits: one breakdown for each, by name.

    All have `batch_size` sequences of `seq_len` tokens, and the served ones a cache of 16 bits.
    Scales of the quantized weights are not counted; `quantized_weights_bytes` does.

    Returns:
        "training", "fp16", "int8" and "int4", in this order.

    Raises:
        ValueError: a count less than 1, or an unknown optimizer.
    """
    served = {dtype: inference_memory(config, batch_size, seq_len, dtype) for dtype in ("fp16", "int8", "int4")}
    return {"training": training_memory(config, batch_size, seq_len, optimizer), **served}
