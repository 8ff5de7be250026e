"""A ladder: how fast is fast enough, as data. Three rungs, each a figure to reach and the points for reaching it.

A figure is a ratio, never seconds, so one ladder fits every machine: the share of what the device could do
(`of = "limit"`), or how many times as fast as a plain solution on that device (`of = "baseline"`).

The points of a ladder are part of those of its exercise; its tests share what the ladders leave. A ladder that
can't be measured here takes its points out of the account, as any test does that can't be run.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

RungName = Literal["", "pass", "good", "excellent"]
"""How far something got; "" for not even onto the first rung."""


class Rung(Struct, frozen=True, forbid_unknown_fields=True):
    """`{ at = 0.40, points = 0.5 }`: the least figure, and what all rungs up to this one are worth together."""

    at: float
    points: float


class Ladder(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"pass_": "pass"}):
    """`[[speed]]` in `lab.toml`.

    Attributes:
        exercise: the exercise that its points belong to.
        needs: what must be here to measure it; it is not run without. Nothing, if left out.
        of: what the figure is a share, or a multiple, of.
    """

    id: str
    title: str
    exercise: str
    pass_: Rung
    good: Rung
    excellent: Rung
    needs: Literal["gpu", "nothing"] = "nothing"
    of: Literal["limit", "baseline"] = "limit"

    @property
    def points(self) -> float:
        """All there is to earn."""
        return self.excellent.points

    @property
    def rungs(self) -> dict[RungName, Rung]:
        """From the lowest to the highest."""
        return {"pass": self.pass_, "good": self.good, "excellent": self.excellent}

    def reached(self, figure: float) -> RungName:
        """The highest rung that a figure reaches; none for nan."""
        names = [name for name, rung in self.rungs.items() if figure >= rung.at]
        return names[-1] if names else ""

    def earned(self, rung: RungName) -> float:
        """The points for getting so far."""
        return self.rungs[rung].points if rung else 0.0
