"""The grade that counts: collect, confine, run every suite, score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from autograder.course import Course
from autograder.grading.result import Grade
from autograder.grading.session import Options, Session
from autograder.isolation.launcher import Zygote
from autograder.isolation.process import SandboxError
from autograder.isolation.sandbox import LAYERS, available_layers
from autograder.lab import Lab, Unknown
from autograder.submission import collect

REMEDIES = {
    "landlock": "needs Linux 5.13 or newer with Landlock enabled (see /sys/kernel/security/lsm)",
    "seccomp": "needs Linux on x86-64 or AArch64 with seccomp enabled",
    "namespaces": "needs unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone, or AppArmor's setting)",
}


class Request(Struct, frozen=True):
    """What to grade and how; `isolation` is the least acceptable layer, ignored when `unsafe`.

    `only_speed`: of the labs that have speed ladders, run those tests and nothing else.
    """

    path: Path
    labs: Sequence[Lab]
    seed: int = 0
    student: str = ""
    isolation: str = "seccomp"
    unsafe: bool = False
    show_hidden: bool = False
    solutions: bool = False
    only_speed: bool = False


def grade_submission(course: Course, request: Request) -> Grade:
    """Grade one submission.

    Raises:
        SubmissionError: there is nothing to grade, or it may not be graded.
        SandboxError: it can't be confined as asked for.
        SuiteError: a suite of the course is wrong.
        Unknown: there is no speed to measure.
    """
    layers = layers_from(request.isolation, request.unsafe)
    labs = with_ladders(request.labs) if request.only_speed else request.labs
    submission = collect(request.path, labs, course.root / "solutions", request.solutions)
    options = Options(
        layers,
        seed=request.seed,
        student=request.student,
        show_hidden=request.show_hidden,
        only_speed=request.only_speed,
    )
    # subtle: what a lab's workers import beforehand may be what runs its kernels without a GPU.
    with Zygote(more=[] if request.only_speed else preloads(labs)) as zygote:
        return Session(course, zygote, options).grade(submission, labs)


def with_ladders(labs: Sequence[Lab]) -> list[Lab]:
    """Those of the labs that have a speed ladder. Raises Unknown if none has."""
    found = [lab for lab in labs if lab.speed]
    if not found:
        names = ", ".join(lab.id for lab in labs)
        raise Unknown(f"no speed is graded in {names}: there is no [[speed]] in lab.toml. Name another lab")
    return found


def preloads(labs: Sequence[Lab]) -> list[str]:
    """What a zygote for the workers of these labs should import beforehand."""
    return sorted({module for lab in labs for module in lab.preload})


def layers_from(least: str, unsafe: bool) -> tuple[str, ...]:
    """All layers that this machine offers. Raises SandboxError if one up to `least` is missing."""
    if least not in LAYERS:
        raise SandboxError(f"there is no isolation layer {least!r}; there are {', '.join(LAYERS)}")
    layers = available_layers()
    missing = [layer for layer in LAYERS[: LAYERS.index(least) + 1] if layer not in layers]
    if missing and not unsafe:
        reasons = "".join(f"\n  {layer}: {REMEDIES[layer]}" for layer in missing)
        raise SandboxError(f"a submission can't be confined here as asked for ({least}).{reasons}\n  See: make doctor")
    return layers
