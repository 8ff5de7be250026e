"""What `compare` found, as a table, given: bytes by component, how much less they are, and how many cards it takes.

    python -m labs.lab2_memory_analyzer.report --model llama-3-70b --batch-size 8 --seq-len 4096

The numbers are your functions' own. Nothing is computed here but quotients and GB, which are 10**9 bytes. As
in `compare`, scales of quantized weights are not counted; as in `gpus_required`, all cards carry the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from shared.blanks import BlankError
from shared.hardware import GB, GPU, GPUS
from shared.plots import with_blanks_named

from .config import ModelConfig
from .memory import OPTIMIZERS, MemoryBreakdown, compare
from .serving import gpus_required

Value = TypeVar("Value")

# Sizes as the published configurations have them: layers, hidden, query heads, heads of keys and values,
# numbers a head, MLP, vocabulary, longest text, tied, family.
MODELS = {
    "gpt2": ModelConfig(12, 768, 12, 12, 64, 3_072, 50_257, 1_024, True, "gpt2"),
    "llama-2-13b": ModelConfig(40, 5_120, 40, 40, 128, 13_824, 32_000, 4_096, False, "llama"),
    "llama-3-8b": ModelConfig(32, 4_096, 32, 8, 128, 14_336, 128_256, 8_192, False, "llama"),
    "llama-3-70b": ModelConfig(80, 8_192, 64, 8, 128, 28_672, 128_256, 8_192, False, "llama"),
}

LABELS = {
    "weights_bytes": "weights",
    "gradients_bytes": "gradients",
    "optimizer_bytes": "optimizer",
    "activations_bytes": "activations",
    "kv_cache_bytes": "KV cache",
}
"""What to call each component of a MemoryBreakdown."""


def memory_table(breakdowns: Mapping[str, MemoryBreakdown], gpu: GPU, title: str = "") -> Table:
    """A column for each of `compare`'s breakdowns, by name; "training" and "fp16" must be among them."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("GB")
    for name in breakdowns:
        table.add_column(name, justify="right")
    for component, label in LABELS.items():
        table.add_row(label, *(gigabytes(each.components[component]) for each in breakdowns.values()))
    totals = {name: each.total_bytes for name, each in breakdowns.items()}
    table.add_section()
    table.add_row("total", *map(gigabytes, totals.values()), style="bold")
    table.add_section()
    for label, cells in conclusions(totals, gpu).items():
        table.add_row(label, *cells)
    return table


def conclusions(totals: Mapping[str, int], gpu: GPU) -> dict[str, list[str]]:
    """What follows from the totals, by label: a cell for each of them."""
    training, fp16 = totals["training"], totals["fp16"]
    served = {name: total for name, total in totals.items() if name != "training"}
    return {
        "less than training": [f"{training / total:.1f}x" for total in totals.values()],
        # Training is no way to serve: it is not compared with one.
        "saved against fp16": [f"{1 - served[name] / fp16:.0%}" if name in served else "" for name in totals],
        f"cards of {gpu.memory_bytes / GB:g} GB": [str(gpus_required(total, gpu)) for total in totals.values()],
    }


def gigabytes(count: int) -> str:
    """Bytes in GB, to two places; nothing for nothing."""
    return f"{count / GB:,.2f}" if count else ""


def chosen(what: str, name: str, values: Mapping[str, Value]) -> Value:
    """The value of this name; BadParameter says which there are."""
    if name not in values:
        raise typer.BadParameter(f"there is no {what} {name!r}; there are {', '.join(values)}")
    return values[name]


ModelOption = Annotated[str, typer.Option(help=f"One of {', '.join(MODELS)}.")]
GPUOption = Annotated[str, typer.Option(help=f"One of {', '.join(GPUS)}.")]
BatchOption = Annotated[int, typer.Option(min=1, help="Sequences.")]
LengthOption = Annotated[int, typer.Option(min=1, help="Tokens of each sequence.")]
OptimizerOption = Annotated[str, typer.Option(help=f"One of {', '.join(OPTIMIZERS)}.")]


def main(
    model: ModelOption = "llama-3-8b",
    gpu: GPUOption = "A100-80GB",
    batch_size: BatchOption = 4,
    seq_len: LengthOption = 2_048,
    optimizer: OptimizerOption = "adam",
) -> None:
    """Print where the bytes go when a model is trained, and when it is served."""
    config, card = chosen("model", model, MODELS), chosen("GPU", gpu, GPUS)
    chosen("optimizer", optimizer, dict.fromkeys(OPTIMIZERS))
    title = f"{model}: {batch_size} x {seq_len:,} tokens, {optimizer}"
    try:
        table = with_blanks_named(lambda: memory_table(compare(config, batch_size, seq_len, optimizer), card, title))
    except BlankError as blank:
        raise SystemExit(str(blank)) from None
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
