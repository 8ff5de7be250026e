"""The kill matrix: every wrong answer of a lab, and the test that rejects it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.authoring.trials import Verdict
from autograder.lab import Lab


def show_matrix(lab: Lab, verdicts: Sequence[Verdict], console: Console) -> None:
    """Print how the reference, the skeleton and each blanked exercise fared, then the wrong answers, question by question."""
    console.print(Text(f"lab {lab.number} · {lab.title}", style="bold"))
    for verdict in verdicts:
        if verdict.trial.kind != "wrong":
            name = f"{verdict.trial.kind} {verdict.trial.exercise}".strip()
            console.print(Text(f"  {'ok   ' if not verdict.complaint else 'WRONG'}  {name}"))
            if verdict.complaint:
                console.print(Text(f"         {verdict.complaint}", style="red"))
    wrong = [verdict for verdict in verdicts if verdict.trial.kind == "wrong"]
    console.print(_matrix(wrong))
    survivors = [verdict for verdict in wrong if verdict.complaint]
    console.print(
        Text(f"  {len(wrong)} wrong answers, {len(wrong) - len(survivors)} rejected, {len(survivors)} survive\n")
    )


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
