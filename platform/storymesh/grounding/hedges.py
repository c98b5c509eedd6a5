"""Words before a number that make it approximate ("about", "nearly") or a bound ("at least", "fewer than")."""

from typing import Literal

from storymesh.grounding.lexicon import listed
from storymesh.grounding.tokens import Token, low_at

Direction = Literal[-1, 0, 1]

ABOUT = frozenset(
    listed(
        "about around roughly approximately approx circa some near nearly almost close say ~ ≈ or so something like "
        "practically virtually"
    )
)
UNDER = frozenset(listed("under below fewer less within"))
OVER = frozenset(listed("over above more exceeding beyond least upwards"))


def hedge_before(tokens: list[Token], at: int) -> tuple[bool, Direction, Direction, int]:
    """Return what is said before a number: if it is hedged, rounded from which side, a bound, and where that begins."""
    hedged = False
    side: Direction = 0
    bound: Direction = 0
    begin = at
    place = at - 1
    while place >= max(0, at - 4):
        low = tokens[place].low
        if low in ("a", "an", "the", "us", "just", "a", "little", "well", "of", "by", "$", "usd", "lost", "total"):
            place -= 1
            continue
        if low in ("than", "at", "to"):
            before = low_at(tokens, place - 1)
            if low == "than" and before in OVER:
                negated = low_at(tokens, place - 2) in ("no", "not")
                bound = -1 if negated else 1
                begin = place - 1
            elif low == "than" and before in UNDER:
                negated = low_at(tokens, place - 2) in ("no", "not")
                bound = 1 if negated else -1
                begin = place - 1
            elif low == "to" and before in ("close", "up", "nearer"):
                hedged, begin = True, place - 1
            break
        if low == "least" and low_at(tokens, place - 1) == "at":
            bound, begin = 1, place - 1
            break
        if low == "most" and low_at(tokens, place - 1) == "at":
            bound, begin = -1, place - 1
            break
        if low in ("nearly", "almost"):
            hedged, side, begin = True, -1, place
            break
        if low in ABOUT and low not in ("or", "so", "like"):
            hedged, begin = True, place
            break
        if low in ("under", "below"):
            hedged, side, begin = True, -1, place
            break
        if low == "over" and low_at(tokens, place - 1) not in (
            "split",
            "spread",
            "divided",
            "splitting",
            "spreading",
        ):
            hedged, side, begin = True, 1, place
            break
        if low in ("above", "exceeding"):
            hedged, side, begin = True, 1, place
            break
        break
    return hedged, side, bound, begin
