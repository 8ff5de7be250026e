"""Whether the parts of a lab file fit together: ids, files, points, questions, hints, wrong answers.

Each check raises CourseError at the first thing that is wrong: what, where, and what to do.
"""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from math import inf

from autograder.lab import Exercise, WrongAnswer
from autograder.lab_file import BlankTable, LabFile, LabSource
from autograder.speed.ladder import Ladder
from autograder.toml_lines import Place


def check(data: LabFile, source: LabSource) -> None:
    """Refuse a lab file whose parts do not fit together."""
    check_order(data, source)
    for index, exercise in enumerate(data.exercise):
        check_exercise(exercise, source, ("exercise", index))
    check_ids(data, source)
    check_builds_on(data, source)
    check_questions(data, source)
    for question, blank in data.blank.items():
        check_blank(question, blank, source)
    check_forbidden_imports(data, source)
    check_ladders(data, source)
    if source.is_authors and data.generated:
        source.fail("`generated` is for lab.json: take it out", "generated")


def check_order(data: LabFile, source: LabSource) -> None:
    name = source.path.parent.name
    if not re.fullmatch(rf"lab{data.order}_[a-z0-9_]+", name):
        source.fail(f"order {data.order} in directory {name}: call the directory lab{data.order}_<name>", "order")


def check_exercise(exercise: Exercise, source: LabSource, place: Place) -> None:
    if not re.fullmatch("[a-z_]+", exercise.id):
        source.fail(f"exercise id {exercise.id!r}: use only a to z and _", *place, "id")
    if not re.fullmatch(r"\w+\.py", exercise.file):
        source.fail(f"file {exercise.file!r}: name a .py file of this directory", *place, "file")
    # A student may have deleted the file; that costs its exercises, not the whole course.
    if source.is_authors and not (source.path.parent / exercise.file).is_file():
        source.fail(f"there is no {exercise.file} here: correct the name or write the file", *place, "file")
    if not 0 < exercise.points < inf:
        message = f"exercise {exercise.id} is worth {exercise.points:g} points: give it more than 0"
        source.fail(message, *place, "points")
    if not exercise.questions:
        source.fail(f"exercise {exercise.id} asks nothing: list its questions", *place, "questions")


def check_ids(data: LabFile, source: LabSource) -> None:
    seen: set[str] = set()
    for index, exercise in enumerate(data.exercise):
        if exercise.id in seen:
            source.fail(f"a second exercise {exercise.id}: give each an id of its own", "exercise", index, "id")
        seen.add(exercise.id)


def check_builds_on(data: LabFile, source: LabSource) -> None:
    indices = {exercise.id: index for index, exercise in enumerate(data.exercise)}
    for index, exercise in enumerate(data.exercise):
        for unknown in sorted(set(exercise.builds_on) - set(indices)):
            message = f"{exercise.id} builds on {unknown}, which is no exercise of this lab: correct the id"
            source.fail(message, "exercise", index, "builds_on")
    try:
        TopologicalSorter({exercise.id: exercise.builds_on for exercise in data.exercise}).prepare()
    except CycleError as error:
        # graphlib names what is built on first and closes the ring: a cycle reads backwards.
        cycle = error.args[1][::-1]
        message = f"{' builds on '.join(cycle)}: a cycle, take one of these out"
        source.fail(message, "exercise", indices[cycle[0]], "builds_on")


def check_questions(data: LabFile, source: LabSource) -> None:
    owner: dict[str, str] = {}
    for index, exercise in enumerate(data.exercise):
        place = ("exercise", index, "questions")
        for question in exercise.questions:
            if question in owner:
                source.fail(f"{question} is in {owner[question]} and in {exercise.id}: leave it in one", *place)
            if question not in data.blank:
                message = f"{question} has no hints: add [blank.{question}] with three hints and a wrong answer"
                source.fail(message, *place)
            owner[question] = exercise.id
    for question in data.blank:
        if question not in owner:
            source.fail(f"{question} is in no exercise: add it to the questions of one", "blank", question)


def check_blank(question: str, blank: BlankTable, source: LabSource) -> None:
    place = ("blank", question)
    if not re.fullmatch(r"Q[1-9]\d*", question):
        source.fail(f"question {question!r}: call questions Q1, Q2, …", *place)
    hints = sum(1 for hint in blank.hints if hint.strip())
    if not hints == len(blank.hints) == 3:
        message = f"{question} has {hints or 'no'} hints: write three, a nudge, the method, nearly the answer"
        source.fail(message, *place, "hints")
    if not blank.wrong:
        source.fail(f"{question} has no wrong answer: add one as [[blank.{question}.wrong]]", *place)
    if source.is_authors and blank.spot:
        source.fail(f"{question} has a `spot`, which is for lab.json: take it out", *place, "spot")
    for index, wrong in enumerate(blank.wrong):
        check_wrong_answer(question, wrong, source, (*place, "wrong", index))


def check_wrong_answer(question: str, wrong: WrongAnswer, source: LabSource, place: Place) -> None:
    """An author writes code, a student is given its digest: each file has the one and not the other."""
    name, wanted, unwanted = "code", wrong.code, wrong.digest
    if not source.is_authors:
        name, wanted, unwanted = "digest", wrong.digest, wrong.code
    if not wanted.strip() or unwanted:
        source.fail(f"a wrong answer of {question} needs `{name}` and `why`, nothing else", *place)
    if not wrong.why.strip():
        source.fail(f"a wrong answer of {question} does not say why: name the misconception", *place)


def check_forbidden_imports(data: LabFile, source: LabSource) -> None:
    files = {exercise.file for exercise in data.exercise}
    for file in data.forbidden_imports:
        if file not in files:
            message = f"imports are forbidden in {file}, which has no exercise: correct the name"
            source.fail(message, "forbidden_imports", file)


def check_ladders(data: LabFile, source: LabSource) -> None:
    """Each speed ladder has an id of its own, and leaves its exercise's other tests something to earn."""
    left = {exercise.id: exercise.points for exercise in data.exercise}
    seen: set[str] = set()
    for index, ladder in enumerate(data.speed):
        place = ("speed", index)
        if not re.fullmatch("[a-z0-9_]+", ladder.id) or ladder.id in seen:
            source.fail(f"ladder id {ladder.id!r}: give each one of its own, of a to z, digits and _", *place, "id")
        seen.add(ladder.id)
        if ladder.exercise not in left:
            message = f"ladder {ladder.id} is for {ladder.exercise}, which is no exercise of this lab: correct the id"
            source.fail(message, *place, "exercise")
        check_rungs(ladder, source, place)
        left[ladder.exercise] -= ladder.points
        if left[ladder.exercise] <= 0:
            message = f"the ladders of {ladder.exercise} take all of its points: leave some for its other tests"
            source.fail(message, *place, "excellent")


def check_rungs(ladder: Ladder, source: LabSource, place: Place) -> None:
    """From rung to rung more is asked, and more is given."""
    at, points = 0.0, 0.0
    for name, rung in ladder.rungs.items():
        if not at < rung.at < inf or not points < rung.points < inf:
            message = (
                f"rung {name} of {ladder.id} is at {rung.at:g} for {rung.points:g} points: let both rise, from above 0"
            )
            source.fail(message, *place, name)
        at, points = rung.at, rung.points
