"""What fewer bits save: on the weights, exactly, and on the whole, as the cache grows beside them.

Quantized in groups, as GPTQ and AWQ do it: neighbours in a row share a scale, and perhaps a zero point. Only bytes
are counted here. Nothing is rounded, and what rounding does to the text is not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .config import ModelConfig, layer_matrices, num_parameters, outer_matrices, require_count
from .kv_cache_size import kv_cache_bytes
from .memory import weights_bytes


@dataclass(frozen=True, slots=True)
class QuantizationPoint:
    """What quantizing saves when so many tokens are in the cache.

    Attributes:
        tokens: of all sequences together.
        baseline_bytes: weights and cache, 16 bits both.
        quantized_bytes: weights and cache, quantized.
    """

    tokens: int
    baseline_bytes: int
    quantized_bytes: int

    @property
    def saving(self) -> float:
        """The share of the baseline that is saved: 0.0 for nothing, 0.75 for three quarters."""
        return 1 - self.quantized_bytes / self.baseline_bytes


def quantized_matrix_bytes(rows: int, columns: int, bits: int, group_size: int | None, zero_points: bool) -> int:
    """Bytes of one quantized matrix.

    Its elements are packed, `bits` each. Every row is cut into groups of `group_size` neighbours, a shorter one at
    its end if need be. A group has a scale of 16 bits and, with `zero_points`, a zero point of `bits` bits.
    Elements and zero points are packed apart; each takes a whole number of bytes. Without a `group_size`
    neither scales nor zero points are counted.

    Example: 3 rows of 5 columns, 4 bits, groups of 2, zero points: 8 + 9 * 2 + 5 = 31.
    """
    elements_bytes = (rows * columns * bits + 7) // 8
    if group_size is None:
        return elements_bytes
    ### BEGIN SOLUTION Q55
    groups = rows * -(-columns // group_size)
    zero_points_bytes = (groups * bits + 7) // 8 if zero_points else 0
    return elements_bytes + 2 * groups + zero_points_bytes
    ### END SOLUTION


def quantized_weights_bytes(
    config: ModelConfig,
    bits: int,
    group_size: int | None = 128,
    *,
    zero_points: bool = False,
    quantize_embeddings: bool = False,
) -> int:
    """Bytes of the weights when the matrices of the layers are quantized and everything else has 16 bits.

    Args:
        bits: of an element, 2 to 16.
        group_size, zero_points: as `quantized_matrix_bytes` takes them.
        quantize_embeddings: whether the matrices outside the layers are quantized, too. Vectors never are.

    Raises:
        ValueError: `bits` out of range, or groups of less than 1.
    """
    require_count("bits", bits, least=2)
    if bits > 16:
        raise ValueError(f"bits must be at most 16, got {bits}")
    if group_size is not None:
        require_count("group_size", group_size)
    matrices = config.num_layers * layer_matrices(config) + (outer_matrices(config) if quantize_embeddings else [])
    kept = num_parameters(config) - sum(rows * columns for rows, columns in matrices)  # blank Q56
    packed = (quantized_matrix_bytes(*shape, bits, group_size, zero_points) for shape in matrices)
    return 2 * kept + sum(packed)


def quantization_study(
    config: ModelConfig,
    token_counts: Sequence[int],
    bits: int = 4,
    group_size: int | None = 128,
    kv_dtype: str = "bf16",
    *,
    zero_points: bool = False,
    quantize_embeddings: bool = False,
) -> list[QuantizationPoint]:
    """How much of weights and cache together is saved, the more tokens are in the cache.

    The baseline has 16 bits for both. A quantized model may well keep a cache of 16 bits: `kv_dtype` says.

    Args:
        token_counts: tokens in the cache, of all sequences together.
        bits, group_size, zero_points, quantize_embeddings: as `quantized_weights_bytes` takes them.

    Returns:
        A point for each of `token_counts`, in their order.

    Raises:
        ValueError: a negative count, `bits` out of range, or an unknown dtype.
    """
    baseline = weights_bytes(config, "bf16")
    quantized = quantized_weights_bytes(
        config, bits, group_size, zero_points=zero_points, quantize_embeddings=quantize_embeddings
    )
    points = []
    for tokens in token_counts:
        require_count("token_counts", tokens, least=0)
        ### BEGIN SOLUTION Q57
        before = baseline + kv_cache_bytes(config, 1, tokens, "bf16")
        after = quantized + kv_cache_bytes(config, 1, tokens, kv_dtype)
        points.append(QuantizationPoint(tokens, before, after))
        ### END SOLUTION
    return points
