"""`labs/<lab>/lab.json`: what students are told of a lab, and the digests of everything generated for it.

It has the shape of `lab.toml`, with a digest in place of each wrong answer's code and the spot of each question.
The digests, its own among them, show which of the files somebody has edited since.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from autograder.authoring.lab_places import shown, source_of
from autograder.authoring.spots import public, spots_of
from autograder.lab import Blank, Exercise, Lab
from autograder.lab_file import BlankTable, LabFile

NAME = "lab.json"


def lab_json(lab: Lab, files: dict[str, str]) -> str:
    """The text of a lab's `lab.json`.

    Args:
        files: text of each file that was generated beside it, by name.

    Raises:
        CourseError: a mark is wrong.
        SyntaxError: a wrong answer is no Python; `wrong_answers` says where.
    """
    data = msgspec.to_builtins(
        LabFile(
            title=lab.title,
            order=lab.order,
            limits=lab.limits,
            exercise=lab.exercises,
            blank={q: _public(lab, e, lab.blanks[q]) for e in lab.exercises for q in e.questions},
            forbidden_imports=lab.forbidden_imports,
            preload=lab.preload,
            speed=lab.speed,
            generated={name: digest_of(text.encode()) for name, text in sorted(files.items())},
        )
    )
    if not lab.speed:
        del data["speed"]  # most labs have none
    data["generated"][NAME] = digest_of(_written(data).encode())
    return _written(data)


def generated_in(content: bytes) -> dict[str, str]:
    """The digest that each file had when a `lab.json` was generated; its own is left out if it was edited since.

    Of what is no `lab.json`, nothing.
    """
    try:
        data = json.loads(content)
        recorded = dict(data["generated"])
        # subtle: the digest recorded for lab.json itself is that of its text without this very line.
        own = data["generated"].pop(NAME)
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}
    is_as_written = content == _written({**data, "generated": recorded}).encode()
    if is_as_written and own == digest_of(_written(data).encode()):
        return {**recorded, NAME: digest_of(content)}
    return {name: digest for name, digest in recorded.items() if name != NAME}


def digest_of(content: bytes) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _written(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _public(lab: Lab, exercise: Exercise, blank: Blank) -> BlankTable:
    spots = spots_of(source_of(lab, exercise.file), shown(lab, exercise.file))
    blank = public(blank, spots[blank.question])
    return BlankTable(blank.hints, blank.wrong, blank.spot)
