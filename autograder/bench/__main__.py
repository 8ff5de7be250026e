"""`python -m autograder.bench`: measure everything and write BENCHMARKS.md."""

from __future__ import annotations

from pathlib import Path

from autograder.bench import generation, grading, isolation, kernels, machine, paged, tokenizer
from autograder.bench.figures import Section, table

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Measure section by section, then write the whole file."""
    sections = [
        isolation.measure(),
        grading.measure(ROOT),
        tokenizer.measure(ROOT),
        generation.measure(ROOT),
        paged.measure(),
        kernels.measure(ROOT),
    ]
    (ROOT / "BENCHMARKS.md").write_text(_document(sections), encoding="utf-8")
    print("wrote BENCHMARKS.md")


def _document(sections: list[Section]) -> str:
    parts = [f"## {section.title}\n\n{section.text}\n\n{table(section.figures)}\n" for section in sections]
    heading = (
        "# Benchmarks\n\nMeasured in one run by `make bench`, which wrote this file. The spread is the first and "
        "the last tenth\nof the runs; the machine was not otherwise idle for certain, so trust ratios more than "
        f"seconds.\n\n{machine.description()}\n"
    )
    return "\n".join([heading, *parts])


if __name__ == "__main__":
    main()
