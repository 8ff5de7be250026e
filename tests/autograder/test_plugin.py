"""Which tests are run, in which order, and what their marks mean."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from autograder.isolation.launcher import Zygote
from tests.autograder.grading_fixtures import LIGHT, MARKS, Grader, course_in

NOTING = f"""{MARKS}
from pathlib import Path


@pytest.fixture(autouse=True)
def noted(request):
    with Path(__file__).with_name("order.txt").open("a") as file:
        file.write(request.node.name + " ")
"""


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote(LIGHT) as zygote:
        yield zygote


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about a machine without one; elsewhere torch is told not to look."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def graded_in_order(zygote: Zygote, root: Path, public: str, hidden: str = "", **options: object) -> list[str]:
    """The tests that were run, in the order in which they were."""
    Grader(course_in(root, public=public, hidden=hidden), zygote).grade(**options)
    return (root / "tests" / "labs" / "lab1_counting" / "order.txt").read_text().split()


def test_what_is_shown_runs_first_then_by_exercise_and_gates_before_the_rest(zygote: Zygote, tmp_path: Path) -> None:
    """Whatever the order in the suites is, and in whichever file a test stands."""
    hidden = f"""{NOTING}
@shares
def test_shares(lab): ...


@words
def test_words(lab): ...


@words
@gate
def test_words_gate(lab): ...
"""
    public = f"""{NOTING}
@counting
def test_counting(lab): ...


@counting
@gate
def test_counting_gate(lab): ...


@words
def test_more_words(lab): ...
"""
    assert graded_in_order(zygote, tmp_path, public, hidden) == [
        "test_more_words",
        "test_counting_gate",
        "test_counting",
        "test_words_gate",
        "test_words",
        "test_shares",
    ]


def test_shared_parameters_do_not_mix_exercises(zygote: Zygote, tmp_path: Path) -> None:
    """pytest would rather run all tests with one parameter, then all with the next."""
    suite = f"""{NOTING}
@pytest.fixture(scope="module", params=[1, 2])
def size(request): ...


@words
def test_a(lab, size): ...


@counting
def test_b(lab, size): ...


@words
@gate
def test_c(lab, size): ...


@shares
def test_d(lab): ...
"""
    order = graded_in_order(zygote, tmp_path, suite)
    assert order == ["test_c[1]", "test_c[2]", "test_a[1]", "test_a[2]", "test_b[1]", "test_b[2]", "test_d"]


def test_tests_of_other_exercises_are_not_run(zygote: Zygote, tmp_path: Path) -> None:
    suite = f"{NOTING}\n@words\ndef test_a(lab): ...\n\n\n@counting\ndef test_b(lab): ...\n"
    assert graded_in_order(zygote, tmp_path, suite, exercises=["counting"]) == ["test_b"]


def test_fail_fast_leaves_out_what_comes_after_a_failure(zygote: Zygote, tmp_path: Path) -> None:
    """In the same exercise. Without it every test has its say."""
    suite = f"""{NOTING}
@words
def test_a(lab): ...


@words
def test_b(lab):
    assert False


@words
def test_c(lab): ...


@counting
def test_d(lab): ...
"""
    chosen = {"exercises": ["words", "counting"]}
    assert graded_in_order(zygote, tmp_path / "fast", suite, fail_fast=True, **chosen) == ["test_a", "test_b", "test_d"]
    assert len(graded_in_order(zygote, tmp_path / "all", suite, **chosen)) == 4


def test_weights_and_gates_are_recorded(zygote: Zygote, tmp_path: Path) -> None:
    suite = f"""{MARKS}
@words
@weight(2.5)
def test_a(lab):
    assert False


@words
@gate
class TestB:
    def test_b(self, lab): ...
"""
    words = Grader(course_in(tmp_path, public=suite), zygote).exercises(exercises=["words"])["words"]
    assert [(test.name, test.weight, test.gate, test.status) for test in words.tests] == [
        ("test_public_counting.py::TestB::test_b", 1.0, True, "passed"),
        ("test_public_counting.py::test_a", 2.5, False, "failed"),
    ]
    assert words.score == 0.57


@pytest.mark.usefixtures("no_gpu")
def test_what_needs_a_gpu_is_not_run_without_one(zygote: Zygote, tmp_path: Path) -> None:
    """Its points are set apart; the tests around it, in the same file and in the next, count as ever."""
    hidden = f"""{NOTING}
@words
def test_a(lab): ...


@words
@gpu
@weight(2)
def test_b(lab):
    assert False
"""
    public = f"{NOTING}\n@words\ndef test_c(lab): ...\n\n\n@counting\n@gpu\ndef test_d(lab):\n    assert False\n"
    course = course_in(tmp_path, public=public, hidden=hidden)
    results = Grader(course, zygote).exercises(exercises=["words", "counting"])
    words, counting = results["words"], results["counting"]
    assert [test.status for test in words.tests] == ["passed", "passed", "not_run"]
    assert (words.status, words.score, words.not_run) == ("passed", 1.0, 1.0)
    assert words.tests[2].message == "b. It needs a GPU."
    assert (counting.status, counting.score, counting.not_run) == ("not_run", 0.0, 3.5)
    order = (tmp_path / "tests" / "labs" / "lab1_counting" / "order.txt").read_text().split()
    assert order == ["test_c", "test_a"]


@pytest.mark.usefixtures("no_gpu")
def test_what_was_not_run_is_no_failure_to_fail_fast_on(zygote: Zygote, tmp_path: Path) -> None:
    """Else a wrong answer would survive `verify` behind a test that needs a GPU."""
    suite = f"{MARKS}\n@words\n@gpu\ndef test_a(lab): ...\n\n\n@words\ndef test_b(lab):\n    assert False\n"
    results = Grader(course_in(tmp_path, public=suite), zygote).exercises(exercises=["words"], fail_fast=True)
    assert [test.status for test in results["words"].tests] == ["not_run", "failed"]


@pytest.mark.parametrize("mark", ["skip", "xfail", "skipif(True, reason='')"])
def test_only_a_missing_gpu_excuses_a_test(zygote: Zygote, tmp_path: Path, mark: str) -> None:
    """pytest's own excuses are none: a test that did not pass has not passed."""
    suite = f"{MARKS}\n@words\n@pytest.mark.{mark}\ndef test_a(lab):\n    assert False\n"
    words = Grader(course_in(tmp_path, public=suite), zygote).exercises(exercises=["words"])["words"]
    assert (words.status, words.score, [test.status for test in words.tests]) == ("failed", 0.0, ["failed"])
