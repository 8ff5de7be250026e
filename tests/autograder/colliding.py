"""Keys that all have the same hash, as somebody would choose them who wants a dict to be slow."""

from __future__ import annotations

_MODULUS = 2**64
_P1, _P2, _P5 = 11400714785074694791, 14029467366897019727, 2870177450012600261  # those of xxHash, as in CPython


def colliding_pairs(count: int) -> list[tuple[int, int]]:
    """`count` different pairs of integers with one hash: for any first number, a second follows from it."""
    inverse = pow(_P2, -1, _MODULUS)
    found: list[tuple[int, int]] = []
    first = 0
    while len(found) < count:
        first += 1
        lane = (_P5 + first * _P2) % _MODULUS
        lane = (lane << 31 | lane >> 33) * _P1 % _MODULUS
        second = (1 - lane) * inverse % _MODULUS
        if second < 2**61 - 1:  # larger ones are not their own hash
            found.append((first, second))
    return found
