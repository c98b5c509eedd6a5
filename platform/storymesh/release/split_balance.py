"""How alike the splits of a release are: what each keeps of the cases of its period, and how often that worked.

A split that keeps other cases than happened, as an embargo keeps the short ones, teaches other odds than those of test.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from storymesh.narrative.evaluation_definition import EVALUATION_CONFIG
from storymesh.release.manifest import CASE, ReleaseManifest

LEVEL = 0.01  # of all comparisons of a release together
ALMOST_ALL = 0.85  # the share of cases from which on a config that drops them is told
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

    That is a rate of what worked that differs between two splits by more than chance, what drops most cases, and a
    split of a config without records.
    """
    balances = split_balances(manifest)
    drops = (*_drop_warnings(manifest, balances), *_config_warnings(manifest))
    return (*_rate_warnings(balances), *drops, *_gap_warnings(manifest, balances))


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
    others = {reason: count for reason, count in drops.items() if reason not in SPLITTING}
    most = [reason for reason, count in others.items() if count * 2 > cases]
    for reason in most:
        yield f"'{reason}' drops {others[reason]:,} of {cases:,} cases"
    if not most and sum(others.values()) * 2 > cases:
        named = ", ".join(f"'{reason}' {count:,}" for reason, count in sorted(others.items(), key=lambda one: -one[1]))
        yield f"in all {sum(others.values()):,} of {cases:,} cases drop: {named}"
    reasons = " and ".join(reason for reason in SPLITTING if reason in drops)
    for balance in balances:
        if reasons and balance.kept * 2 < balance.cases:
            dropped = balance.cases - balance.kept
            yield f"{dropped:,} of the {balance.cases:,} cases in the period of {balance.split} fall to {reasons}" + (
                f": of all that were judged there {balance.rate:.0%} worked, of the kept {balance.kept_rate:.0%}"
                if balance.rate is not None and balance.kept_rate is not None
                else ""
            )


def _config_warnings(manifest: ReleaseManifest) -> Iterator[str]:
    """Yield a sentence for each config that drops almost all cases which reach it."""
    for config, rows in manifest.configs.items():
        drops = manifest.drops.get(config, {})
        dropped, kept = sum(drops.values()), sum(rows.values())
        if config == EVALUATION_CONFIG or not kept or dropped < ALMOST_ALL * (dropped + kept):
            continue
        named = ", ".join(f"'{reason}' {count:,}" for reason, count in sorted(drops.items(), key=lambda one: -one[1]))
        yield f"'{config}' tells {kept:,} of {dropped + kept:,} cases, the others drop: {named}"


def _gap_warnings(manifest: ReleaseManifest, balances: Sequence[SplitBalance]) -> Iterator[str]:
    """Yield a sentence for each config that has no record of a split in which cases were kept."""
    for config, rows in manifest.configs.items():
        empty = [balance for balance in balances if balance.kept and not rows.get(balance.split)]
        if config == EVALUATION_CONFIG or not any(rows.values()):
            continue
        for balance in empty:
            yield f"'{config}' has no record in {balance.split}, in which {balance.kept:,} cases were kept"


def _case_count(manifest: ReleaseManifest) -> int:
    recorded = max(
        (
            sum(rows.values()) + sum(manifest.drops.get(config, {}).values())
            for config, rows in manifest.configs.items()
        ),
        default=0,
    )
    return recorded + sum(manifest.drops.get(CASE, {}).values())
