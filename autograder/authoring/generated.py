"""What `labs/` must hold, made from `solutions/`: a path and a text for each file. It writes nothing."""

from __future__ import annotations

from autograder.authoring.lab_json import NAME, lab_json
from autograder.authoring.lab_marks import check_marks, python_files
from autograder.authoring.lab_places import shown, source_of
from autograder.authoring.mutants import wrong_answers
from autograder.authoring.skeleton import skeleton
from autograder.authoring.suite_marks import check_suites
from autograder.course import Course
from autograder.lab import CourseError, Lab


def generated(course: Course) -> dict[str, str]:
    """Every file of `labs/`, by its path from the course's top directory.

    Raises:
        CourseError: something in a lab is wrong; or there are no solutions here.
    """
    if not course.is_authors:
        raise CourseError("solutions", 1, "there are none here, and labs/ is made from them")
    files = {"labs/__init__.py": ""}
    for lab in course.labs:
        check_suites(lab, course.root / "tests" / "labs" / lab.id)
        files |= {f"labs/{lab.id}/{name}": text for name, text in lab_files(lab).items()}
    return files


def lab_files(lab: Lab) -> dict[str, str]:
    """A lab's files, by name: handout, skeletons, what is given, and `lab.json`. Raises CourseError."""
    check_marks(lab)
    wrong_answers(lab)
    if not (lab.sources / "handout.md").is_file():
        raise CourseError(shown(lab, "handout.md"), 1, "is missing: write the lab's chapter there")
    files = {file: skeleton(source_of(lab, file), shown(lab, file)) for file in python_files(lab)}
    files = {"__init__.py": "", **files, "README.md": source_of(lab, "handout.md")}
    return {**files, NAME: lab_json(lab, files)}
