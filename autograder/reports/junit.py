"""The grade as JUnit XML, for the CI services that show it: a suite for each exercise, a case for each test.

Ids are stable: `labs.lab3_simple_kv_cache.cache_update` and the test's name. An exercise that was not run
(blank, broken, forbidden, missing) is a single case that says why. Points are properties; JUnit knows none.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as xml

from autograder.grading.result import ExerciseResult, Grade, LabResult, SpeedResult, TestResult
from autograder.reports.files import write_text
from autograder.reports.speed import said_about_speed


def as_junit(grade: Grade) -> str:
    """The XML text."""
    root = xml.Element("testsuites", name=grade.grader)
    for lab in grade.labs:
        for exercise in lab.exercises:
            root.append(_suite(lab, exercise))
    for name in ("tests", "failures", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + xml.tostring(root, encoding="unicode") + "\n"


def write_junit(grade: Grade, path: Path) -> None:
    """Write it to a file. Raises Refusal if that can't be done."""
    write_text(path, as_junit(grade))


def _suite(lab: LabResult, exercise: ExerciseResult) -> xml.Element:
    suite = xml.Element("testsuite", name=f"labs.{lab.id}.{exercise.id}", time=f"{exercise.cpu_s:.3f}")
    properties = xml.SubElement(suite, "properties")
    for name, value in (("score", exercise.score), ("max_score", exercise.max_score), ("not_run", exercise.not_run)):
        xml.SubElement(properties, "property", name=name, value=f"{value:g}")
    cases = [_case(suite, test) for test in exercise.tests]
    cases += [_ladder(suite, ladder) for ladder in exercise.speed]
    if exercise.message and cases:
        xml.SubElement(suite, "system-out").text = xml_text(exercise.message)
    cases = cases or [_unrun(suite, exercise)]
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
    return suite


def _case(suite: xml.Element, test: TestResult) -> xml.Element:
    case = xml.SubElement(suite, "testcase", classname=suite.get("name", ""), name=xml_text(test.name))
    if test.status == "not_run":
        xml.SubElement(case, "skipped", message=xml_text(test.message))
    elif test.status != "passed":
        failure = xml.SubElement(case, "failure", type=test.status, message=xml_text(test.message))
        failure.text = xml_text(test.detail)
    return case


def _ladder(suite: xml.Element, ladder: SpeedResult) -> xml.Element:
    case = xml.SubElement(suite, "testcase", classname=suite.get("name", ""), name=xml_text(ladder.test))
    said = xml_text(said_about_speed(ladder))
    if ladder.status == "not_run":
        xml.SubElement(case, "skipped", message=said)
    elif ladder.status != "passed":
        xml.SubElement(case, "failure", type=ladder.status, message=said)
    else:
        xml.SubElement(case, "system-out").text = said
    return case


def _unrun(suite: xml.Element, exercise: ExerciseResult) -> xml.Element:
    case = xml.SubElement(suite, "testcase", classname=suite.get("name", ""), name=exercise.status)
    blanks = ", ".join(f"{place.question} {place.file}:{place.line}" for place in exercise.blanks_left)
    message = exercise.message or f"still blank: {blanks}"
    xml.SubElement(case, "failure", type=exercise.status, message=xml_text(message))
    return case


def xml_text(text: str) -> str:
    """Text that XML 1.0 can hold: other characters are replaced, not left out, so that it shows."""
    return "".join(c if _is_legal(ord(c)) else "\N{REPLACEMENT CHARACTER}" for c in text)


def _is_legal(code: int) -> bool:
    return code in (0x9, 0xA, 0xD) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
