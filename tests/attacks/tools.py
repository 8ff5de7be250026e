"""Burglar's tools: the beginning of every attacker's file. It runs in the worker and never in the grader.

What follows it in the file is the attack itself, which redefines `total` or `report`. Both of these are
wrong answers, so an attack that gains nothing scores nothing.
"""

from __future__ import annotations

import gc
import os  # noqa: F401 - for the attacks
import sys
from collections.abc import Callable
from typing import Any

COURSE = "where the course lies"
GRADER = 0  # the grader's process id
FOUND: list[object] = []  # what was found so far


def total(numbers: list[int], note: str = "") -> int:
    """A wrong answer."""
    return 0


class Found(Exception):
    """What was found, a line for each thing: of a message, the report of a public test shows the most."""


def report() -> object:
    """How far it got. With nothing found, what an honest answer reports."""
    if FOUND:
        raise Found("\n".join(map(str, FOUND)))
    return "nothing"


def attempt(what: str, action: Callable[[], object]) -> None:
    """Try something and note what became of it: "gave …", or the error that stopped it."""
    try:
        FOUND.append(f"* {what}: gave {action()!r}")
    except Exception as error:
        FOUND.append(f"* {what}: {type(error).__name__}: {getattr(error, 'strerror', None) or error}")


def frame_of(name: str) -> Any:
    """The frame of the worker's own function of this name that is running right now."""
    frame: Any = sys._getframe()
    while frame.f_code.co_name != name:
        frame = frame.f_back
    return frame


def channel() -> Any:
    """The worker's end of the channel to the grader, found without being given it."""
    from autograder.isolation.frames import Channel

    return next(thing for thing in gc.get_objects() if type(thing) is Channel)


def forge(kind: str, content: Any, ahead: int = 0) -> None:
    """Answer the request that is being handled, or one that is still to come, with a frame of one's own."""
    channel().send([frame_of("handle").f_locals["request"] + ahead, kind, content])
