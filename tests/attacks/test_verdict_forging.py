"""Whatever happens in the worker's process, a verdict is formed elsewhere, from plain values of exact types."""

from __future__ import annotations

import pytest

from tests.attacks.arena import Arena
from tests.attacks.target import SECRET

PATCHES = {
    "builtins": (
        """
        import builtins
        class Harmless(Exception): pass
        builtins.AssertionError = Harmless
        builtins.abs = builtins.round = lambda *_: 3
        builtins.all = builtins.any = lambda *_: True
        builtins.__build_class__ = lambda *_, **__: int
        FOUND.append(f"any([]) is {any([])}")
        """,
        "any([]) is True",
    ),
    "builtins that the worker needs itself": (
        """
        import builtins
        builtins.len = builtins.sum = lambda *_: 3
        builtins.isinstance = builtins.issubclass = lambda *_: True
        """,
        "malformed",
    ),
    "pytest, unittest and Hypothesis": (
        """
        import hypothesis, pytest, unittest
        from _pytest import runner
        def harmless(*_, **__): return None
        hypothesis.given = lambda *_, **__: lambda test: harmless
        pytest.main = pytest.fail = runner.call_and_report = unittest.TestCase.run = harmless
        FOUND.append(f"pytest.fail() is {pytest.fail()}")
        """,
        "pytest.fail() is None",
    ),
    "the encoders": (
        """
        import json, msgspec
        json.dumps = msgspec.json.encode = msgspec.msgpack.encode = lambda *_, **__: b"passed"
        json.JSONEncoder.default = lambda *_: "passed"
        FOUND.append(f"json.dumps() is {json.dumps()}")
        """,
        "json.dumps() is b'passed'",
    ),
}


@pytest.mark.parametrize(("attack", "seen"), PATCHES.values(), ids=PATCHES)
def test_patching_what_judges_changes_no_judgement(arena: Arena, attack: str, seen: str) -> None:
    """There are copies of it in the worker. They can be patched, and nobody asks them."""
    outcome = arena.attack(attack)
    assert seen in outcome.seen


WORKERS = {
    "Worker.handle": "Worker.handle = lambda self, message, buffers: ([message[0], 'value', True], [])",
    "Packer.pack": "Packer.pack = lambda self, value, depth=0: True",
    "Channel.receive": "Channel.receive = lambda self: ([0, [], 'fetch', [True]], [])",
}


@pytest.mark.parametrize("patch", WORKERS.values(), ids=WORKERS)
def test_a_worker_that_answers_True_to_everything_earns_nothing(arena: Arena, patch: str) -> None:
    """The worker can say what it likes. Here it says that `total` itself is True, or answers what nobody asked."""
    outcome = arena.attack(
        f"""
        from autograder.isolation.frames import Channel
        from autograder.isolation.pack import Packer
        from autograder.isolation.worker import Worker
        {patch}
        """
    )
    assert "'bool' object is not callable" in outcome.seen or "an answer to another question" in outcome.seen


FRAMES = {
    "a value, before the worker's own": ("forge('value', True)", "an answer to another question"),
    "answers to questions to come": (
        "[forge('value', True, ahead) for ahead in range(1, 9)]",
        "an answer to another question",
    ),
    "a verdict": ("forge('passed', True)", "neither a value nor an error"),
    "no MessagePack": ("channel()._connection.sendall(b'PASSED' * 1000)", "malformed"),
    "an error that passes": ("forge('error', [['builtins.Passed'], 'passed', []])", "StudentError: passed"),
    "a class of the grader's": ("forge('value', ['record', 'autograder.grading.result:Grade'])", "malformed"),
    "a function of the system's": ("forge('value', ['record', 'os:system', 'command', 'true'])", "malformed"),
    "a class that shared imported": ("forge('value', ['record', 'shared.blank_places:PurePath'])", "malformed"),
    "no dataclass": ("forge('value', ['record', 'shared.blanks:BlankError', 'message', 'x'])", "malformed"),
}


@pytest.mark.parametrize(("step", "seen"), FRAMES.values(), ids=FRAMES)
def test_a_forged_frame_is_at_most_an_answer(arena: Arena, step: str, seen: str) -> None:
    """It is written straight to the worker's end of the channel. A malformed one ends the exercise."""
    outcome = arena.attack(f"def total(numbers, note=''): {step}; return 0")
    assert seen in outcome.seen


EXCUSES = {
    "pytest.skip": ("import pytest", "pytest.skip('excused')"),
    "pytest.xfail": ("import pytest", "pytest.xfail('excused')"),
    "pytest.exit": ("import pytest", "pytest.exit('excused', 0)"),
    "hypothesis.reject": ("import hypothesis", "hypothesis.reject()"),
    "StopIteration": ("", "raise StopIteration(3)"),
    "KeyboardInterrupt": ("", "raise KeyboardInterrupt('excused')"),
}


@pytest.mark.parametrize(("imports", "statement"), EXCUSES.values(), ids=EXCUSES)
def test_an_excuse_raised_by_a_submission_is_a_failure(arena: Arena, imports: str, statement: str) -> None:
    """What would skip, end or repeat a test if it were raised in the grader is only text by the time it gets there."""
    outcome = arena.attack(f"{imports}\ndef total(numbers, note=''): {statement}")
    assert f"in total: def total(numbers, note=''): {statement}" in outcome.seen
    assert outcome.statuses == {"failed"}


LIARS = {
    "an object": ("object", "()"),
    "an int": ("int", "(0)"),
    "a list": ("list", "()"),
    "an array": ("__import__('numpy').ndarray", "(1)"),
    "a tensor": ("__import__('torch').Tensor", "()"),
}


@pytest.mark.parametrize(("base", "arguments"), LIARS.values(), ids=LIARS)
def test_an_object_that_is_equal_to_everything_is_equal_to_nothing(arena: Arena, base: str, arguments: str) -> None:
    """A subclass is not the class: it stays where it is, and the grader refuses to compare what stands for it."""
    outcome = arena.attack(
        f"""
        class Liar({base}):
            def __eq__(self, other): return True
            __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __eq__
            def __bool__(self): return True
            def __hash__(self): return 3
            def __array__(self, *_, **__): return 3
            __int__ = __index__ = __radd__ = __rsub__ = __array__
            def __torch_function__(self, *_, **__): return True
            __torch_function__ = classmethod(__torch_function__)
        assert Liar{arguments} == 3 == hash(Liar{arguments})
        def total(numbers, note=''): return Liar{arguments}
        """
    )
    assert "expected a plain value, got an object of class 'Liar'" in outcome.seen


def test_what_an_object_says_of_itself_is_not_asked(arena: Arena) -> None:
    """Hostile `__repr__`, `__reduce__`, `__class__` and names: nothing of the object's own runs in the grader."""
    outcome = arena.attack(
        """
        class Three:
            __class__ = property(lambda self: int)
            def __repr__(self): os._exit(3)
            __str__ = __format__ = __len__ = __iter__ = __repr__
            def __reduce__(self): return os.system, ("touch escaped",)
            def __del__(self): FOUND.append("deleted")
        Three.__qualname__ = Three.__name__ = "3\\n\\x1b[2J" * 1000
        def total(numbers, note=''):
            FOUND.append(f"isinstance(Three(), int) is {isinstance(Three(), int)}")
            return Three()
        """
    )
    assert "isinstance(Three(), int) is True" in outcome.seen
    assert "\x1b" not in outcome.shown


def test_a_service_answers_what_was_agreed_and_nothing_else(arena: Arena) -> None:
    """A worker that makes up its own questions is refused, and the object in the grader is not touched."""
    outcome = arena.hand_in(
        "",
        purse="""
        def spend(purse, coins):
            worker, found = purse._worker, []
            for number, name in [(0, "left"), (0, "__init__"), (0, "__class__"), (1, "take"), (-1, "take"), (True, "take")]:
                try: found.append(worker.ask(number, name, (), {}))
                except TypeError as error: found.append(str(error))
            raise ValueError(found)
        """,
    )
    (test,) = [test for test in outcome.grade.labs[0].exercises[1].tests if test.visibility == "public"]
    assert test.detail.count("no such service") + test.detail.count("malformed question") == 6
    assert test.status == "failed"
    assert SECRET.word not in outcome.shown
