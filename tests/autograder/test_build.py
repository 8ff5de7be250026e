"""`labs/` is what `solutions/` says, and nothing that somebody wrote is lost on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autograder.authoring.build import build
from autograder.course import Course, CourseError
from shared.blanks import blanks_in
from tests.autograder.small_course import COUNTING, GIVEN, HANDOUT, LAB, LAB_TOML, SUITE, write_course

FILES = ["README.md", "__init__.py", "counting.py", "given.py", "lab.json"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A course that was built."""
    write_course(tmp_path)
    build(tmp_path)
    return tmp_path


def labs_of(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root / "labs")): p.read_bytes() for p in (root / "labs").rglob("*") if p.is_file()}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_building_writes_all_of_labs_and_says_what(tmp_path: Path) -> None:
    written = build(write_course(tmp_path))
    assert written == ["wrote labs/__init__.py", *(f"wrote labs/{LAB}/{name}" for name in FILES)]
    assert sorted(labs_of(tmp_path)) == sorted(["__init__.py", *(f"{LAB}/{name}" for name in FILES)])


def test_skeletons_have_blanks_and_given_files_are_copied_as_they_are(root: Path) -> None:
    labs = labs_of(root)
    counting = labs[f"{LAB}/counting.py"].decode()
    assert len(blanks_in(counting)) == 6
    assert "SOLUTION" not in counting and "get(word, 0) + 1" not in counting
    assert labs[f"{LAB}/given.py"].decode() == GIVEN
    assert labs[f"{LAB}/README.md"].decode() == HANDOUT


def test_building_again_changes_nothing(root: Path) -> None:
    before = labs_of(root)
    assert build(root) == []
    assert build(root, check=True) == []
    assert labs_of(root) == before


def test_the_same_course_gives_the_same_bytes_elsewhere(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = write_course(tmp_path_factory.mktemp("other"))
    build(other)
    assert labs_of(other) == labs_of(root)


def test_nothing_generated_names_the_place_where_it_was_made(root: Path) -> None:
    assert not [name for name, content in labs_of(root).items() if str(root).encode() in content]


def test_what_students_are_given_holds_no_answer(root: Path) -> None:
    """Neither the right ones nor the wrong ones; hints and reasons are in `lab.json`."""
    text = (root / "labs" / LAB / "lab.json").read_text(encoding="utf-8")
    data = json.loads(text)
    assert data["blank"]["Q3"]["hints"][0] == "What changes?"
    assert all(set(wrong) == {"why", "digest"} for blank in data["blank"].values() for wrong in blank["wrong"])
    for answer in ("text.lstrip()", "found.count(word)", "get(word, 0) + 1\n", "sorted(often"):
        assert answer not in text


def test_a_student_without_solutions_has_the_same_course(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    students = tmp_path_factory.mktemp("student")
    (root / "labs").rename(students / "labs")
    theirs, ours = Course.load(students), Course.load(root)
    assert not theirs.is_authors and ours.is_authors
    for one, other in zip(theirs.labs, ours.labs, strict=True):
        assert (one.id, one.title, one.order, one.exercises) == (other.id, other.title, other.order, other.exercises)
        assert (one.limits, one.forbidden_imports) == (other.limits, other.forbidden_imports)
        assert [blank.hints for blank in one.blanks.values()] == [blank.hints for blank in other.blanks.values()]
        assert [[w.why for w in b.wrong] for b in one.blanks.values()] == [
            [w.why for w in b.wrong] for b in other.blanks.values()
        ]
    with pytest.raises(CourseError, match="solutions:1: there are none here"):
        build(students)


def test_checking_names_what_drifted_is_missing_or_surplus_and_writes_nothing(root: Path) -> None:
    edit(root / "solutions" / LAB / "counting.py", "Counting words.", "Counting all words.")
    (root / "labs" / LAB / "README.md").unlink()
    (root / "labs" / LAB / "notes.txt").touch()
    (root / "labs" / "lab9_gone").mkdir()
    (root / "labs" / "lab9_gone" / "old.py").touch()
    before = labs_of(root)
    assert build(root, check=True) == [
        f"missing labs/{LAB}/README.md",
        f"drifted labs/{LAB}/counting.py",
        f"drifted labs/{LAB}/lab.json",
        f"surplus labs/{LAB}/notes.txt",
        "surplus labs/lab9_gone/old.py",
    ]
    assert labs_of(root) == before


def test_caches_and_hidden_files_are_no_drift(root: Path) -> None:
    for path in ("__pycache__/a.pyc", ".ipynb_checkpoints/a.ipynb", ".hidden"):
        (root / "labs" / LAB / path).parent.mkdir(exist_ok=True)
        (root / "labs" / LAB / path).touch()
    assert build(root, check=True) == []


def test_a_changed_solution_is_built_and_only_what_changed_is_written(root: Path) -> None:
    edit(root / "solutions" / LAB / "counting.py", "Counting words.", "Counting all words.")
    assert build(root) == [f"wrote labs/{LAB}/counting.py", f"wrote labs/{LAB}/lab.json"]
    assert b"Counting all words." in labs_of(root)[f"{LAB}/counting.py"]
    assert build(root, check=True) == []


@pytest.mark.parametrize("name", ["README.md", "counting.py", "given.py", "lab.json"])
def test_an_edit_by_hand_is_not_overwritten(root: Path, name: str) -> None:
    path = root / "labs" / LAB / name
    path.write_text(path.read_text(encoding="utf-8").replace("ounting", "OUNTING").replace("rose", "tulip"))
    before = labs_of(root)
    with pytest.raises(CourseError) as caught:
        build(root)
    assert str(caught.value) == (
        f"labs/{LAB}/{name}:1: was edited by hand, and building would lose that: "
        f"move the edit to solutions/{LAB}/, or use --force"
    )
    assert labs_of(root) == before
    assert build(root, force=True) == [f"wrote labs/{LAB}/{name}"]
    assert build(root, check=True) == []


def test_one_edit_by_hand_stops_all_of_it(root: Path) -> None:
    edit(root / "labs" / LAB / "given.py", "rose", "tulip")
    edit(root / "labs" / LAB / "README.md", "Words", "Mine")
    edit(root / "solutions" / LAB / "counting.py", "Counting words.", "Counting all words.")
    before = labs_of(root)
    with pytest.raises(CourseError, match=r"README.md:1: was edited by hand \(and 1 more\)"):
        build(root)
    assert labs_of(root) == before


def test_a_file_of_unknown_origin_is_not_overwritten(tmp_path: Path) -> None:
    write_course(tmp_path)
    (tmp_path / "labs" / LAB).mkdir(parents=True)
    (tmp_path / "labs" / LAB / "counting.py").write_text("mine = 1\n")
    with pytest.raises(CourseError, match=rf"labs/{LAB}/counting.py:1: was edited by hand"):
        build(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"generated": {"lab.json": 1}}', '{"generated": 3}', "\0"])
def test_a_damaged_record_makes_everything_somebodys_own(root: Path, text: str) -> None:
    (root / "labs" / LAB / "lab.json").write_text(text)
    edit(root / "solutions" / LAB / "given.py", "rose", "tulip")
    with pytest.raises(CourseError, match=r"given.py:1: was edited by hand"):
        build(root)
    assert build(root, force=True) == [f"wrote labs/{LAB}/given.py", f"wrote labs/{LAB}/lab.json"]


def test_a_record_that_somebody_changed_vouches_for_nothing_of_its_own(root: Path) -> None:
    edit(root / "labs" / LAB / "lab.json", "What changes?", "What is new?")
    with pytest.raises(CourseError, match=r"lab.json:1: was edited by hand"):
        build(root)


def test_what_is_generated_no_more_is_removed(root: Path) -> None:
    (root / "solutions" / LAB / "given.py").unlink()
    assert build(root) == [f"removed labs/{LAB}/given.py", f"wrote labs/{LAB}/lab.json"]
    assert build(root, check=True) == []


def test_what_is_generated_no_more_but_was_edited_is_kept(root: Path) -> None:
    (root / "solutions" / LAB / "given.py").unlink()
    edit(root / "labs" / LAB / "given.py", "rose", "tulip")
    with pytest.raises(CourseError, match=r"given.py:1: was edited by hand"):
        build(root)
    assert f"removed labs/{LAB}/given.py" in build(root, force=True)


def test_a_lab_with_another_name_takes_its_files_along(root: Path) -> None:
    for parent in ("solutions", "tests/labs"):
        (root / parent / LAB).rename(root / parent / "lab1_words")
    changes = build(root)
    assert f"removed labs/{LAB}/lab.json" in changes and "wrote labs/lab1_words/lab.json" in changes
    assert not (root / "labs" / LAB).exists()


def test_somebodys_own_files_are_left_alone(root: Path) -> None:
    (root / "labs" / LAB / "notes.txt").write_text("mine")
    assert build(root, force=True) == []
    assert (root / "labs" / LAB / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"counting_py": COUNTING.replace("# blank Q1", "# blank Q9")}, "counting.py:10: Q9 is no question"),
        ({"lab_toml": LAB_TOML.replace('code = "0"', 'code = "12"')}, "lab.toml:43: but for its looks, this answer"),
        ({"counting_py": COUNTING.replace("LONGEST = 12", "x, LONGEST = 1, 12")}, "counting.py:10: Q1 is used while"),
        (
            {"suite_py": SUITE.replace('"words"', '"counting"')},
            "lab.toml:13: no test in tests/labs/lab1_counting is marked",
        ),
        ({"suite_py": SUITE.replace("@counting\n", "")}, "lab.toml:22: no test in tests/labs/lab1_counting is marked"),
        (
            {"suite_py": SUITE.replace("pytestmark", "marks")},
            "lab.toml:32: no test in tests/labs/lab1_counting is marked",
        ),
        (
            {"suite_py": SUITE.replace("def test_n", "def n")},
            "lab.toml:32: no test in tests/labs/lab1_counting is marked",
        ),
        ({"suite_py": SUITE.replace('"shares"', '"share"')}, "test_public_counting.py:19: 'share' is no exercise of"),
        ({"suite_py": "def f(:\n"}, f"tests/labs/{LAB}/test_public_counting.py:1: cannot be read"),
    ],
)
def test_nothing_is_built_from_a_course_with_an_error(tmp_path: Path, files: dict[str, str], message: str) -> None:
    write_course(tmp_path, **files)
    for check in (True, False):
        with pytest.raises(CourseError) as caught:
            build(tmp_path, check=check)
        assert message in str(caught.value)
    assert not (tmp_path / "labs").exists()


def test_a_lab_without_a_handout_is_an_error(root: Path) -> None:
    (root / "solutions" / LAB / "handout.md").unlink()
    with pytest.raises(CourseError, match=rf"solutions/{LAB}/handout.md:1: is missing"):
        build(root)


def test_a_mark_counts_for_every_test_of_a_suite(tmp_path: Path) -> None:
    marks = ", ".join(f'pytest.mark.exercise("{id}")' for id in ("words", "counting", "shares"))
    suite = f"import pytest\npytestmark = [{marks}]\n\n\ndef test_a(lab): ...\n"
    assert build(write_course(tmp_path, suite_py=suite))


def test_a_mark_counts_for_every_test_of_a_class(tmp_path: Path) -> None:
    suite = (
        'import pytest\npytestmark = pytest.mark.exercise("words")\n\n\n'
        '@pytest.mark.exercise("counting")\nclass TestB:\n    def test_b(self, lab): ...\n\n\n'
        'shares: object = pytest.mark.exercise("shares")\n\n\n@shares\nasync def test_c(lab): ...\n'
    )
    assert build(write_course(tmp_path, suite_py=suite))
