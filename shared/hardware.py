"""What hardware is, given: number formats and GPUs, as the makers' data sheets have them.

Memory and bandwidth are in powers of ten, as on the sheets: GB is 10**9 bytes. Rates are those of matrix
products of *dense* 16-bit numbers. Most sheets print twice that in larger letters, for matrices of which half
the numbers are zeros in the right places; a language model's are not.

These are limits, rates rounded to whole TFLOP/s, and nothing reaches them. A driver takes a part of the memory, too.
"""

from __future__ import annotations

from dataclasses import dataclass

GB = 10**9
GIB = 2**30
TERA = 10**12

DTYPE_BITS = {"fp32": 32, "fp16": 16, "bf16": 16, "fp8": 8, "int8": 8, "int4": 4}


def bits_of(dtype: str) -> int:
    """Bits of one number. ValueError names a dtype that is none of `DTYPE_BITS`."""
    if dtype not in DTYPE_BITS:
        raise ValueError(f"dtype must be one of {', '.join(DTYPE_BITS)}, got {dtype!r}")
    return DTYPE_BITS[dtype]


@dataclass(frozen=True, slots=True)
class GPU:
    """One card.

    Attributes:
        memory_bytes: its own memory.
        bytes_per_second: between that memory and the chip, reading and writing together.
        flops_per_second: additions and multiplications of dense 16-bit matrix products.
        source: where the three numbers are from.
    """

    name: str
    memory_bytes: int
    bytes_per_second: int
    flops_per_second: int
    source: str = ""

    def __post_init__(self) -> None:
        for field in ("memory_bytes", "bytes_per_second", "flops_per_second"):
            value = getattr(self, field)
            if type(value) is not int or value < 1:
                raise ValueError(f"{field} must be a whole number of at least 1, got {value!r}")


# An A100 with the 900 GB/s that one may read about is a V100.
GPUS = {
    "A100-80GB": GPU("A100 80GB SXM", 80 * GB, 2_039 * GB, 312 * TERA, "NVIDIA A100 data sheet, 2021"),
    "A100-40GB": GPU("A100 40GB SXM", 40 * GB, 1_555 * GB, 312 * TERA, "NVIDIA A100 data sheet, 2020"),
    "H100": GPU("H100 SXM", 80 * GB, 3_350 * GB, 989 * TERA, "NVIDIA H100 data sheet, 2023; half of 1,979 sparse"),
    "H200": GPU("H200 SXM", 141 * GB, 4_800 * GB, 989 * TERA, "NVIDIA H200 data sheet, 2024; half of 1,979 sparse"),
    # The package has 192 GB, a DGX or HGX B200 offers 180 of them.
    "B200": GPU(
        "B200", 180 * GB, 8_000 * GB, 2_250 * TERA, "NVIDIA DGX B200 data sheet and Blackwell architecture brief, 2024"
    ),
    "L40S": GPU("L40S", 48 * GB, 864 * GB, 362 * TERA, "NVIDIA L40S data sheet, 2023"),
    # With sums in fp32, as models need them; sums in fp16 are twice as fast on this card.
    "RTX4090": GPU("GeForce RTX 4090", 24 * GB, 1_008 * GB, 165 * TERA, "NVIDIA Ada GPU architecture, 2022: 165.2"),
    # It knows no bf16: the rate is that of fp16.
    "T4": GPU("T4", 16 * GB, 320 * GB, 65 * TERA, "NVIDIA T4 data sheet, 2019"),
}
