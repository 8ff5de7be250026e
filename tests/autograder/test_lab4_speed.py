"""The speed tests of lab 4, on small inputs and a CPU: that they measure what they say, not how fast anything is.

The tasks are those that a GPU gets; only sizes and number format differ. The kernels run in Triton's interpreter.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterator
from textwrap import dedent

import pytest
import torch

from autograder.course import Course
from autograder.grading.result import Grade, SpeedResult
from autograder.grading.session import Options, Session
from autograder.isolation.launcher import Zygote
from autograder.isolation.sandbox import available_layers
from autograder.speed import calibration
from autograder.submission import Submission
from shared.challenges import Calls
from tests.autograder.grading_fixtures import PROJECT, surroundings_kept
from tests.labs.lab4_paged_kv_cache.speeds import (
    Heads,
    attended,
    decode,
    gather_all_then_attend,
    gather_then_attend,
    lengths_of,
    write,
    written,
)

SOURCES = PROJECT / "solutions" / "lab4_paged_kv_cache"
LAB = "lab1_paged"
SMALL = Heads(num_heads=4, num_kv_heads=2, head_dim=16, block_size=8, dtype=torch.float32)
LAB_TOML = """\
title = "Paged"
order = 1
preload = ["shared.triton_interpreter"]

[limits]
cpu_seconds = 60
wall_seconds = 120
memory_bytes = 6_442_450_944

[[exercise]]
id = "kernels"
title = "Kernels"
file = "kernels.py"
names = ["write_kv", "paged_decode"]
points = 10
minutes = 5
questions = ["Q1"]

[[speed]]
id = "decode"
title = "Decoding"
exercise = "kernels"
pass = { at = 1e-9, points = 1 }
good = { at = 2e-9, points = 2 }
excellent = { at = 3e-9, points = 3 }

[[speed]]
id = "write"
title = "Writing"
exercise = "kernels"
pass = { at = 1e-9, points = 1 }
good = { at = 2e-9, points = 2 }
excellent = { at = 3e-9, points = 3 }

[blank.Q1]
hints = ["1", "2", "3"]
[[blank.Q1.wrong]]
code = "None"
why = "Nothing."
"""
SUITE = """\
import pytest
import torch
from dataclasses import replace
from tests.labs.lab4_paged_kv_cache.speeds import Heads, decode, write

SMALL = Heads(num_heads=4, num_kv_heads=2, head_dim=16, block_size=8, dtype=torch.float32)
QUICK = dict(count=1, rounds=3, drift=1e9)
kernels = pytest.mark.exercise("kernels")


@kernels
@pytest.mark.speed("decode")
def test_decode(ladder):
    ladder.climb(replace(decode(SMALL, 60 * SMALL.token_bytes, sequences=3, raggedness=0.6), **QUICK))


@kernels
@pytest.mark.speed("write")
def test_write(ladder):
    ladder.climb(replace(write(SMALL, num_tokens=24), **QUICK))


@kernels
def test_nothing(lab):
    assert callable(lab.write_kv)
"""


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote(more=["shared.triton_interpreter"]) as zygote:
        yield zygote


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    root = tmp_path_factory.mktemp("course")
    lab, suites = root / "solutions" / LAB, root / "tests" / "labs" / LAB
    lab.mkdir(parents=True)
    suites.mkdir(parents=True)
    shutil.copy(SOURCES / "kernels.py", lab)
    (lab / "lab.toml").write_text(LAB_TOML)
    (suites / "test_hidden_speed.py").write_text(SUITE)
    return Course.load(root)


def graded(course: Course, zygote: Zygote, source: str) -> Grade:
    submission = Submission("handed in", {f"labs/{LAB}/kernels.py": source.encode()})
    with surroundings_kept(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(calibration.COPY_BYTES, "cpu", 2**20)
        options = Options(available_layers(), settle=False)
        return Session(course, zygote, options).grade(submission, course.labs)


def ladders(grade: Grade) -> dict[str, SpeedResult]:
    return {ladder.id: ladder for ladder in grade.labs[0].exercises[0].speed}


def test_the_reference_climbs_in_the_interpreter(course: Course, zygote: Zygote) -> None:
    """Both launchers, through a real worker: every output that was looked at was right."""
    found = ladders(graded(course, zygote, (SOURCES / "kernels.py").read_text()))
    assert {id: (ladder.status, ladder.rung) for id, ladder in found.items()} == {
        "decode": ("passed", "excellent"),
        "write": ("passed", "excellent"),
    }
    assert found["write"].least == 2 * 24 * SMALL.token_bytes
    assert all(ladder.time_s > 0 for ladder in found.values())


def test_what_is_wrong_does_not_climb(course: Course, zygote: Zygote) -> None:
    """The last token of each sequence is left out, and one token in the pool is not written."""
    source = (SOURCES / "kernels.py").read_text() + dedent(
        """
        right_decode, right_write = paged_decode, write_kv
        def paged_decode(query, keys, values, block_tables, lengths):
            return right_decode(query, keys, values, block_tables, lengths - 1)
        def write_kv(key, value, keys, values, slots):
            right_write(key[1:], value[1:], keys, values, slots[1:])
        """
    )
    found = ladders(graded(course, zygote, source))
    assert {id: (ladder.status, ladder.earned, ladder.time_s) for id, ladder in found.items()} == {
        "decode": ("failed", 0.0, 0.0),
        "write": ("failed", 0.0, 0.0),
    }


@pytest.mark.parametrize("heads", [SMALL, Heads(8, 2, 32, 16, torch.bfloat16), Heads(4, 4, 16, 16, torch.float16)])
@pytest.mark.parametrize(("sequences", "raggedness"), [(5, 0.6), (1, 0.0), (4, 0.0)])
def test_gathering_first_gives_the_same(heads: Heads, sequences: int, raggedness: float) -> None:
    """So it may be the baseline, and the control: it is right, only slow."""
    task = decode(heads, 300 * heads.token_bytes, sequences, raggedness)
    inputs = Calls(gather_then_attend, task.case, "cpu", 1, 2).inputs(3, 1)
    ways = [gather_then_attend] if raggedness else [gather_then_attend, gather_all_then_attend]
    for way in ways:
        difference = (way(**inputs).float() - attended(inputs).float()).abs().max()
        assert float(difference) < task.tolerance / 2


def test_no_key_can_be_left_out_unnoticed() -> None:
    """Of a sequence as long as on a GPU, any 64 tokens in a row, a tile, shift some number by more than is tolerated."""
    heads = Heads(8, 2, 64, 16, torch.bfloat16)
    task = decode(heads, 1500 * heads.token_bytes, sequences=1, raggedness=0.0)
    inputs = Calls(gather_then_attend, task.case, "cpu", 1, 1).inputs(2, 0)
    whole = attended(inputs).float()
    for start in range(0, 1408, 128):
        blocks = inputs["block_tables"][0, start // 16 : start // 16 + 4].long()
        keys = inputs["keys"].clone()
        keys[blocks] = 0  # as good as never seen
        changed = (attended({**inputs, "keys": keys}).float() - whole).abs() > task.tolerance * (1 + whole.abs())
        assert changed.any(), f"tokens {start} to {start + 63} could be left out"


def test_the_least_bytes_are_keys_and_values_once() -> None:
    """And next to nothing else: queries, outputs and tables are a hundredth of it."""
    heads, size = Heads(), 2**28
    for sequences, raggedness in ((64, 0.6), (64, 0.0), (1, 0.0)):
        task = decode(heads, size, sequences, raggedness)
        lengths = task.case.given["lengths"]
        assert isinstance(lengths, torch.Tensor) and len(lengths) == sequences
        kv_bytes = int(lengths.sum()) * heads.token_bytes
        assert size <= kv_bytes < 1.05 * size
        room = task.case.fresh["block_tables"].shape[1] * heads.block_size
        assert int(lengths.max()) == room and (raggedness or int(lengths.min()) == room), "every slot is live"
        assert kv_bytes < task.least_bytes < 1.01 * kv_bytes
    assert write(heads, 65_536).least_bytes == 2 * 2 * 65_536 * 8 * 128 * 2


def test_lengths_are_as_ragged_as_they_are_said_to_be() -> None:
    lengths = lengths_of(64, 1000, 0.6)
    assert (min(lengths), max(lengths)) == (400, 1000) and len(set(lengths)) == 64 and lengths != sorted(lengths)
    assert lengths_of(1, 1000, 0.0) == [1000] and set(lengths_of(4, 10, 0.0)) == {10}


def test_every_slot_of_the_pool_is_written() -> None:
    task = write(SMALL, 24)
    inputs = Calls(gather_then_attend, task.case, "cpu", 1, 1).inputs(3, 0)
    keys, values = written(inputs)
    assert not keys.isnan().any() and not values.isnan().any()
    assert torch.equal(keys.flatten(0, 1)[inputs["slots"][5]], inputs["key"][5])


def test_the_ladders_are_those_of_the_lab() -> None:
    """Each has a test, and the other way round; the rungs are where the lab says."""
    text = next(path for name in ("lab.toml", "lab.toml.e") if (path := SOURCES / name).exists()).read_text()
    found = {table["id"]: table for table in tomllib.loads(text)["speed"]}
    suite = (PROJECT / "tests/labs/lab4_paged_kv_cache/test_hidden_speed.py").read_text()
    assert all(f'speed("{id}")' in suite for id in found) and suite.count("mark.speed(") == len(found) == 4
    at = {id: [table[rung]["at"] for rung in ("pass", "good", "excellent")] for id, table in found.items()}
    assert at == {
        "decode_batch": [0.4, 0.6, 0.8],
        "decode_long": [0.25, 0.5, 0.65],
        "decode_against_gather": [3, 6, 9],
        "write_many": [0.5, 0.7, 0.85],
    }
    assert all(table["needs"] == "gpu" for table in found.values())
