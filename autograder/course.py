"""The course: its labs, read from `solutions/*/lab.toml`, or from `labs/*/lab.json` where a student has no solutions.

Reading checks everything that can be checked without looking into a lab's code. It imports
nothing heavy: every command, even `--help`, may load a course.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from msgspec import Struct

from autograder.lab import Blank, CourseError, Exercise, Lab, Limits, Spot, Unknown, WrongAnswer
from autograder.lab_checks import check
from autograder.lab_file import LabFile, LabSource

__all__ = ["Blank", "Course", "CourseError", "Exercise", "Lab", "Limits", "Spot", "WrongAnswer"]


class Course(Struct, frozen=True):
    """All labs, in their order. `root` is the directory that holds `labs/` and perhaps `solutions/`."""

    root: Path
    labs: tuple[Lab, ...]

    @classmethod
    def load(cls, root: Path) -> Course:
        """Read the course below `root`.

        Raises:
            CourseError: something in it is wrong, or there is no course here.
        """
        pattern = "solutions/*/lab.toml" if (root / "solutions").is_dir() else "labs/*/lab.json"
        paths = sorted(root.glob(pattern))
        if not paths:
            raise CourseError(pattern, 1, "there is no lab here: run this from the course's top directory")
        labs = sorted((read_lab(path, root) for path in paths), key=lambda lab: lab.order)
        for first, second in pairwise(labs):
            if first.order == second.order:
                message = f"{first.id} is lab {first.order} too: give this one another order"
                raise CourseError((second.sources / Path(pattern).name).relative_to(root), 1, message)
        return cls(root, tuple(labs))

    @property
    def is_authors(self) -> bool:
        """Whether the solutions are here; a student's course is made of `labs/` alone."""
        return any(lab.sources.parent.name == "solutions" for lab in self.labs)

    def lab(self, name: str) -> Lab:
        """The lab called "3", "lab3" or "lab3_simple_kv_cache"; Unknown names those there are."""
        for lab in self.labs:
            if name in (str(lab.number), f"lab{lab.number}", lab.id):
                return lab
        raise Unknown(f"there is no lab {name!r}; there are {', '.join(lab.id for lab in self.labs)}")


def read_lab(path: Path, root: Path) -> Lab:
    """The lab of one `lab.toml` or `lab.json`; CourseError names the file as seen from `root`."""
    source = LabSource(path, root)
    data = source.read()
    check(data, source)
    return Lab(
        id=path.parent.name,
        title=data.title,
        order=data.order,
        exercises=data.exercise,
        blanks=_blanks(data),
        limits=data.limits,
        forbidden_imports=data.forbidden_imports,
        sources=path.parent,
        preload=data.preload,
        speed=data.speed,
    )


def _blanks(data: LabFile) -> dict[str, Blank]:
    return {
        question: Blank(question, (table.hints[0], table.hints[1], table.hints[2]), table.wrong, table.spot)
        for question, table in data.blank.items()
    }
