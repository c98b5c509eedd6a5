"""How alike the splits of a release are: what each keeps of the cases of its period, and how often that worked.

A split that keeps other cases than happened, as an embargo keeps the short ones, teaches other odds than those of test.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from storymesh.release.manifest import CASE, ReleaseManifest

LEVEL = 0.01  # of all comparisons of a release together
SPLITTING = ("embargo", "straddles")  # the drops that are counted for each period


@dataclass(frozen=True)
class SplitBalance:
    """One split: the `cases` in its period and the `kept` ones, of each the judged, and of those what worked. `judged`
    is 0 where the narrative has no outcome that may be shown."""

    split: str
    cases: int
    judged: int
    worked: int
    kept: int
    kept_judged: int
    kept_worked: int

    @property
    def rate(self) -> float | None:
        """How often it worked, in the judged cases of the period."""
        return self.worked / self.judged if self.judged else None

    @property
    def kept_rate(self) -> float | None:
        """How often it worked, in the kept ones of them."""
        return self.kept_worked / self.kept_judged if self.kept_judged else None


def split_balances(manifest: ReleaseManifest) -> tuple[SplitBalance, ...]:
    """Return the balance of each split that the manifest counts, in order."""
    return tuple(
        SplitBalance(split, *(counts.get(name, 0) for name in SplitBalance.__match_args__[1:]))
        for split, counts in manifest.splits.items()
    )


def balance_warnings(manifest: ReleaseManifest) -> tuple[str, ...]:
    """Return a sentence for each reason to doubt that the splits show the same world.

    That is a rate of what worked that differs between two splits by more than chance, and a step that drops most cases.
    """
    balances = split_balances(manifest)
    return (*_rate_warnings(balances), *_drop_warnings(manifest, balances))


def _rate_warnings(balances: Sequence[SplitBalance]) -> Iterator[str]:
    rated = [balance for balance in balances if balance.kept_judged]
    pairs = list(combinations(rated, 2))
    level = LEVEL / max(len(pairs), 1)  # Bonferroni: several splits give several occasions for chance
    differing = [pair for pair in pairs if _chance(*pair) < level]
    if differing:
        rates = ", ".join(f"{balance.kept_rate:.0%} of {balance.kept_judged:,} in {balance.split}" for balance in rated)
        between = ", ".join(f"{left.split} and {right.split}" for left, right in differing)
        yield (
            f"what worked differs between splits: {rates}. Between {between} that is more than chance "
            f"(two proportions, level {LEVEL:g} over {len(pairs)} comparison{'s' if len(pairs) > 1 else ''})"
        )


def _chance(left: SplitBalance, right: SplitBalance) -> float:
    """Return how probable so great a difference of two rates is by chance.

    The two-sided test of two proportions with the correction for continuity of Yates (1934, Suppl. JRSS 1:217-235).
    """
    total = left.kept_judged + right.kept_judged
    pooled = (left.kept_worked + right.kept_worked) / total
    inverse = 1 / left.kept_judged + 1 / right.kept_judged
    deviation = math.sqrt(pooled * (1 - pooled) * inverse)
    if deviation == 0:
        return 1.0
    difference = abs(left.kept_worked / left.kept_judged - right.kept_worked / right.kept_judged)
    return math.erfc(max(difference - inverse / 2, 0) / deviation / math.sqrt(2))


def _drop_warnings(manifest: ReleaseManifest, balances: Sequence[SplitBalance]) -> Iterator[str]:
    drops: Mapping[str, int] = manifest.drops.get(CASE, {})
    cases = _case_count(manifest)
    for reason, count in drops.items():
        if reason not in SPLITTING and count * 2 > cases:
            yield f"'{reason}' drops {count:,} of {cases:,} cases"
    reasons = " and ".join(reason for reason in SPLITTING if reason in drops)
    for balance in balances:
        if reasons and balance.kept * 2 < balance.cases:
            dropped = balance.cases - balance.kept
            yield f"{dropped:,} of the {balance.cases:,} cases in the period of {balance.split} fall to {reasons}" + (
                f": of all that were judged there {balance.rate:.0%} worked, of the kept {balance.kept_rate:.0%}"
                if balance.rate is not None and balance.kept_rate is not None
                else ""
            )


def _case_count(manifest: ReleaseManifest) -> int:
    recorded = max(
        (
            sum(rows.values()) + sum(manifest.drops.get(config, {}).values())
            for config, rows in manifest.configs.items()
        ),
        default=0,
    )
    return recorded + sum(manifest.drops.get(CASE, {}).values())
