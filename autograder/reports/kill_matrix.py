"""The kill matrix: every wrong answer of a lab, and the test that rejects it; and at the end, what is not as it must be."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.authoring.trials import Verdict
from autograder.lab import Lab


def show_matrix(lab: Lab, verdicts: Sequence[Verdict], console: Console) -> None:
    """Print how the reference, the skeleton and each exercise blanked and alone fared, then the wrong answers, by question."""
    console.print(Text(f"lab {lab.number} · {lab.title}", style="bold"))
    for verdict in verdicts:
        if verdict.trial.kind != "wrong":
            name = f"{verdict.trial.kind} {verdict.trial.exercise}".strip()
            console.print(Text(f"  {'ok   ' if not verdict.complaint else 'WRONG'}  {name}"))
    wrong = [verdict for verdict in verdicts if verdict.trial.kind == "wrong"]
    console.print(_matrix(wrong))
    survivors = [verdict for verdict in wrong if verdict.complaint]
    console.print(
        Text(f"  {len(wrong)} wrong answers, {len(wrong) - len(survivors)} rejected, {len(survivors)} survive\n")
    )


def show_complaints(verdicts: Sequence[Verdict], console: Console) -> None:
    """Print every trial that did not come out as it had to, once more and last: where a log is cut, its end is kept."""
    wrong = [verdict for verdict in verdicts if verdict.complaint]
    for verdict in wrong:
        console.print(Text(f"WRONG  {verdict.trial.name}: {verdict.complaint}", style="red"))
    console.print(Text(f"{len(verdicts)} trials, {len(wrong)} not as they must be", style="bold"))


def _matrix(verdicts: Sequence[Verdict]) -> Table:
    table = Table("question", "exercise", "rejected by", "misconception", box=None, padding=(0, 1), pad_edge=True)
    for verdict in verdicts:
        mutant = verdict.trial.mutant
        assert mutant is not None
        name = verdict.failed[0].split("::")[-1].removeprefix("test_") if verdict.failed else "NOBODY"
        style = "" if not verdict.complaint else "red"
        table.add_row(
            f"{mutant.question}.{mutant.index + 1}", mutant.exercise, Text(name, style), Text(mutant.why, "dim")
        )
    return table
