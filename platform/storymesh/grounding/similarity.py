"""How alike two values are said to be: by the words beside each, weighed by how well a word tells values apart."""

from collections.abc import Mapping

OUTRANKED = 0.3
WEAK = 0.5
"""Of the words that stand farther off (below this) only two count: many of them are no better than one."""


def alike(words: Mapping[str, float], there: Mapping[str, float], rare: Mapping[str, float]) -> float:
    """Return how much two mentions share the words beside them; `rare` says how well a word tells values apart."""
    total = weak = weaker = 0.0
    for word, weight in words.items():
        weight_there = there.get(word)
        if weight_there is not None:
            told = rare.get(word)
            if told:
                shared = told * weight * weight_there
                if weight >= WEAK:
                    total += shared
                elif shared > weak:
                    weak, weaker = shared, weak
                elif shared > weaker:
                    weaker = shared
    return total + weak + weaker


def demote_outranked(by: dict[str, float]) -> None:
    """Lower the weight of words that a stronger one outranks: what is gained or lost is said against an estimate, and
    what is expected is not yet a delay."""
    if by.get("plan", 0.0) >= 0.7 * WEAK and "arrive" in by:
        by["arrive"] *= OUTRANKED
    if by.get("recover", 0.0) >= WEAK:
        weaker: tuple[str, ...] = ("expect", "late")
    elif by.get("expect", 0.0) >= WEAK:
        weaker = ("late",)
    else:
        return
    for word in weaker:
        if word in by:
            by[word] *= OUTRANKED
