"""The verbs of the command line. Each one reads its arguments, calls the part that does the work, and shows the result.

subtle: the heavy imports stand inside the verbs. `--help` must not wait for torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autograder.refusal import Refusal

if TYPE_CHECKING:
    from rich.console import Console

    from autograder.course import Course
    from autograder.grading.result import Grade
    from autograder.lab import Lab

app = typer.Typer(
    name="autograder",
    help="Inference Labs: grades labs, shows hints, builds the course.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
LabOption = Annotated[
    list[str] | None, typer.Option("--lab", "-l", help="A lab: 3, lab3 or its full name. Repeatable.")
]

SeedOption = Annotated[int, typer.Option(help="Another seed draws other examples.")]
StudentOption = Annotated[str, typer.Option(help="Whose it is; the cases of scenario questions are drawn from this.")]


@app.command()
def grade(
    submission: Annotated[Path, typer.Argument(help="A directory, .zip or .tar.gz with labs in it.")],
    lab: LabOption = None,
    json: Annotated[Path | None, typer.Option(help="Write the grade as JSON.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the grade as JUnit XML.")] = None,
    fail_under: Annotated[float | None, typer.Option(help="Exit with 1 below this many points.")] = None,
    seed: SeedOption = 0,
    student: StudentOption = "",
    isolation: Annotated[str, typer.Option(help="The least layer of isolation to accept.")] = "seccomp",
    unsafe: Annotated[bool, typer.Option(help="Accept whatever isolation there is.")] = False,
    show_hidden: Annotated[bool, typer.Option(help="Show the details of hidden tests.")] = False,
    solutions: Annotated[bool, typer.Option(help="Allow to grade the solutions themselves.")] = False,
    only_speed: Annotated[bool, typer.Option(help="Measure speed and grade nothing else; then: merge.")] = False,
) -> None:
    """Grade a submission, in isolation: what counts."""
    from autograder.grading.authoritative import Request, grade_submission

    with _refusals():
        course = _course()
        labs = _labs(course, lab)
        request = Request(submission, labs, seed, student, isolation, unsafe, show_hidden, solutions, only_speed)
        result = grade_submission(course, request)
    _report(result, course, json, junit)
    if fail_under is not None and result.score < fail_under:
        raise typer.Exit(1)


@app.command()
def merge(
    earlier: Annotated[Path, typer.Argument(help="The JSON of a grade.")],
    speed: Annotated[Path, typer.Argument(help="The JSON of grade --only-speed, of the same submission.")],
    json: Annotated[Path | None, typer.Option(help="Write the whole grade as JSON.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the whole grade as JUnit XML.")] = None,
) -> None:
    """Put the speed measured on a machine with a GPU into an earlier grade."""
    from autograder.speed.merge import merge_files

    with _refusals():
        course = _course()
        result = merge_files(earlier, speed)
        for graded in result.labs:
            course.lab(graded.id)  # refused, if it is of another course
    _report(result, course, json, junit)


@app.command()
def check(
    lab: Annotated[str, typer.Argument(help="A lab: 3, lab3 or its full name.")],
    exercise: Annotated[str, typer.Argument(help="One exercise of it; all if left out.")] = "",
    seed: SeedOption = 0,
    student: StudentOption = "",
) -> None:
    """Run the public tests on labs/ in this very process, so that a debugger works. Counts for nothing."""
    from autograder.grading.local import check_lab
    from autograder.grading.session import Options
    from autograder.reports import terminal

    with _refusals():
        course = _course()
        result = check_lab(course, course.lab(lab), exercise, Options((), seed=seed, student=student))
    terminal.show_grade(result, course, _console(), local=True)


@app.command()
def hint(
    lab: Annotated[str, typer.Argument(help="A lab: 3, lab3 or its full name.")],
    question: Annotated[str, typer.Argument(help="A question, such as Q2.")],
) -> None:
    """Show the next of a question's three hints."""
    from autograder.hints import next_hint

    with _refusals():
        course = _course()
        shown = next_hint(course.root, course.lab(lab), question)
    last = ", seen before: there is no other" if shown.is_again else ""
    typer.echo(f"{shown.question}, hint {shown.number} of {shown.of}{last}\n\n  {shown.text}\n")


@app.command()
def build(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if anything would change.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files of labs/ that were edited by hand.")] = False,
) -> None:
    """Generate labs/ from solutions/."""
    from autograder.authoring.build import build as build_labs

    with _refusals():
        changed = build_labs(_course().root, check=check, force=force)
    for line in changed:
        typer.echo(line)
    if check and changed:
        typer.echo("labs/ has drifted from solutions/. Run: python -m autograder build", err=True)
        raise typer.Exit(1)
    if not changed:
        typer.echo("labs/ is what solutions/ says.")


@app.command()
def verify(lab: LabOption = None) -> None:
    """Grade the grader: reference 100 %, skeleton 0, every wrong answer rejected. Prints the kill matrix."""
    from autograder.authoring.verify import verify_labs

    with _refusals():
        course = _course()
        is_sound = verify_labs(course, _labs(course, lab), _console())
    if not is_sound:
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Show what this machine offers, and prove each layer of isolation by trying to break it."""
    from autograder.doctor import examine

    if not examine(_console()):
        raise typer.Exit(1)


def main() -> None:
    """The console script."""
    try:
        app()
    except SystemExit as end:
        # subtle: Python takes half a second to dismantle torch. Everything is written and closed by now.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 0)


def _course() -> Course:
    from autograder.course import Course

    return Course.load(_root(Path.cwd()))


def _report(result: Grade, course: Course, json: Path | None, junit: Path | None) -> None:
    """Write what was asked for, then print. Files first: a pager that is closed early ends this process."""
    from autograder.reports import json_report, terminal
    from autograder.reports import junit as junit_report

    with _refusals():
        if json is not None:
            json_report.write_json(result, json)
        if junit is not None:
            junit_report.write_junit(result, junit)
    terminal.show_grade(result, course, _console())


def _root(here: Path) -> Path:
    """The nearest directory upwards that holds a course; failing that, the one this program came with."""
    for folder in (here, *here.parents):
        has_labs = (folder / "labs").is_dir() or (folder / "solutions").is_dir()  # not built yet
        if has_labs and (folder / "shared").is_dir():
            return folder
    return Path(__file__).resolve().parents[1]


def _labs(course: Course, names: list[str] | None) -> tuple[Lab, ...]:
    return tuple(course.lab(name) for name in names) if names else course.labs


@contextmanager
def _refusals() -> Iterator[None]:
    """Whatever makes it impossible to go on is said in words, and the exit status is 2."""
    try:
        yield
    except Refusal as error:
        typer.echo(f"autograder: {error}", err=True)
        raise typer.Exit(2) from None


def _console() -> Console:
    from rich.console import Console

    # A file or a log has no width of its own; a table in it should not be folded to that of a small terminal.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)
