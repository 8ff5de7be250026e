"""The recipe of the shared model: six novels to a tokenizer and a small Llama, in half an hour of one processor core.

    apt-get download r-cran-janeaustenr
    .venv/bin/python -m shared.models.austen.train r-cran-janeaustenr_1.0.0-1_all.deb

The tokenizer is trained and saved by lab 1: its reference, or with `--labs labs` your own. The model sees the first
95 % of each novel, in an order that the seed decides; the rest is what its loss is measured on. Everything is written
to this directory, from where `LlamaForCausalLM.from_pretrained` reads it.

It is no example of how to train large models: one thread, no parallelism, no checkpoints to go on from. On another
kind of processor sums are rounded otherwise, so that the weights come out slightly different.
"""

from __future__ import annotations

import importlib
import json
import math
import re
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor
from torch.nn.functional import cross_entropy

from . import DIRECTORY
from .corpus import read_novels

VOCAB_SIZE, END_OF_TEXT = 2_048, "<|endoftext|>"
CONTEXT, BATCH = 512, 4
STEPS, WARM_UP, SEED = 2_750, 100, 0  # with more steps it learns the novels by heart
MATRIX_RATE, VECTOR_RATE, WEIGHT_DECAY = 4e-3, 3e-3, 0.1


def main(
    package: Annotated[Path, typer.Argument(help="r-cran-janeaustenr_1.0.0-1_all.deb", exists=True, dir_okay=False)],
    labs: Annotated[str, typer.Option(help="whose lab 1 makes the tokenizer: solutions or labs")] = "solutions",
    steps: Annotated[int, typer.Option(help="of fewer steps comes a poorer model", min=1)] = STEPS,
    output: Annotated[Path, typer.Option(help="the directory to write to", file_okay=False)] = DIRECTORY,
) -> None:
    """Train the tokenizer and the model, and write both."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    seen, held_out = split(list(read_novels(package).values()))
    output.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(labs, seen, output)
    model = new_model()
    train(model, ids_of(tokenizer, seen), ids_of(tokenizer, held_out), steps)
    save(model, output)


def split(novels: list[str]) -> tuple[list[list[str]], list[list[str]]]:
    """The first 95 % of each novel, and the rest; each in chapters, which are texts of their own."""
    cuts = [len(novel) * 95 // 100 for novel in novels]
    parts = zip(novels, cuts, strict=True)
    beginnings, ends = zip(*((novel[:cut], novel[cut:]) for novel, cut in parts), strict=True)
    return [chapters(text) for text in beginnings], [chapters(text) for text in ends]


def chapters(novel: str) -> list[str]:
    """Cut a novel before each line such as "CHAPTER 12" or "Chapter IV"."""
    return [text.strip() for text in re.split(r"\n\n(?=chapter [0-9ivxlc]+\b)", novel, flags=re.IGNORECASE)]


def train_tokenizer(labs: str, texts: list[list[str]], output: Path) -> Any:
    """Lab 1's tokenizer, in a file that `AutoTokenizer` reads: tokenizer.json, and what its end of text is called."""
    tokenizer = importlib.import_module(f"{labs}.lab1_tokenizer.tokenizer").BPETokenizer.train(
        [chapter for novel in texts for chapter in novel], VOCAB_SIZE - 1, [END_OF_TEXT]
    )
    tokenizer.save(output / "tokenizer.json")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END_OF_TEXT,
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
    }
    (output / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return tokenizer


def ids_of(tokenizer: Any, novels: list[list[str]]) -> Tensor:
    """All chapters in a row, [tokens], the end of the text behind each."""
    end = tokenizer.special_tokens[END_OF_TEXT]
    return torch.tensor([token for novel in novels for text in novel for token in (*tokenizer.encode(text), end)])


def new_model() -> Any:
    """A Llama of 1,967,808 random numbers; embedding and head are one matrix."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(  # type: ignore[call-arg]
            vocab_size=VOCAB_SIZE,
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=6,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=VOCAB_SIZE - 1,
            attn_implementation="sdpa",
        )
    )


def train(model: Any, seen: Tensor, held_out: Tensor, steps: int) -> None:
    """Matrices by Muon, whose steps are orthogonal matrices; the embedding and the norms by AdamW."""
    matrices = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name]
    others = [weight for name, weight in model.named_parameters() if weight.ndim == 1 or "embed" in name]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=VECTOR_RATE, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps)) for optimizer in optimizers
    ]
    started = time.monotonic()
    for step in range(1, steps + 1):
        starts = torch.randint(len(seen) - CONTEXT, (BATCH,)).tolist()
        texts = torch.stack([seen[start : start + CONTEXT + 1] for start in starts])
        loss(model, texts).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        model.zero_grad()
        if step % 250 == 0 or step == steps:
            seconds = time.monotonic() - started
            print(f"step {step:5}: {evaluate(model, held_out):.3f} nats a token ({seconds:.0f} s)", flush=True)


def rate(step: int, steps: int) -> float:
    """The share of the learning rate: up within the first steps, then down to 0 along a cosine."""
    return min(1.0, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * min(1.0, step / steps)))


def loss(model: Any, texts: Tensor) -> Tensor:
    """Mean cross-entropy of each token but the first, in nats, of texts [B, T + 1]; products of matrices in bfloat16."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(texts[:, :-1]).logits
    return cross_entropy(logits.flatten(0, 1).float(), texts[:, 1:].flatten())


@torch.no_grad()
def evaluate(model: Any, held_out: Tensor) -> float:
    """The loss on all of the text that was not trained on, in pieces of a whole context."""
    whole = held_out[: (len(held_out) - 1) // CONTEXT * CONTEXT + 1]
    pieces = whole.unfold(0, CONTEXT + 1, CONTEXT)
    return sum(float(loss(model, piece[None])) for piece in pieces) / len(pieces)


def save(model: Any, output: Path) -> None:
    """The weights in float16, and how the model is built, as `from_pretrained` reads them."""
    model.generation_config.eos_token_id = VOCAB_SIZE - 1
    model.half().save_pretrained(output)


if __name__ == "__main__":
    typer.run(main)
