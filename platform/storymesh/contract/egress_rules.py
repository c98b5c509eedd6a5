"""Rules of a contract about what may leave the premise of its data: in which form, to where and for what purpose."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from storymesh.document import Definition
from storymesh.location import Location

Form = Literal["raw", "hashed", "figures"]
"""The form in which a value leaves: as it is, as its keyed hash, or as a part of a figure over a group of rows."""

Grain = Literal["day", "week", "month", "quarter", "year"]

STRENGTH = {"figures": 1, "hashed": 2, "raw": 3}
"""Who may have a value in a form may have it in every weaker one."""

HUB = "hub"
"""The place to which `push` takes a release: no premise has this name."""

PURPOSE = r"^[a-z][a-z0-9]*([_-][a-z0-9]+)*$"
Purpose = Annotated[str, StringConstraints(pattern=PURPOSE, max_length=100)]


@dataclass(frozen=True)
class Residence:
    """Where the rows of a product are, and where cases are made, as a mesh says: at `home`, but for the narratives of
    `homes`. `guarded`: nothing leaves the premise but by a rule of a contract."""

    premise: str
    home: str
    guarded: bool
    homes: Mapping[str, str] = field(repr=False, hash=False)

    @property
    def is_elsewhere(self) -> bool:
        """True if what cases need of the product has to leave its premise."""
        return self.premise != self.home

    def of_narrative(self, narrative: str) -> "Residence":
        """Return where the rows are, and where the cases of a narrative are made."""
        return replace(self, home=self.homes.get(narrative, self.home), homes={})


class AggregationThreshold(Definition):
    """The least group of which a figure may be known: at least `subjects` different values of the property `of`. With a
    `grain`, figures are of whole such periods only, so that none is the difference of two others."""

    subjects: int = Field(ge=2, le=1_000_000)
    of: str
    grain: Grain | None = None


class WrittenRule(Definition):
    """One entry of the customProperty `leaves`, as it is written."""

    columns: tuple[str, ...] = Field(min_length=1)
    as_: Form = Field(alias="as")
    least: AggregationThreshold | None = None
    to: tuple[str, ...] = Field(min_length=1)
    for_: tuple[Purpose, ...] = Field(alias="for", min_length=1)

    @model_validator(mode="after")
    def _least_of_figures(self) -> "WrittenRule":
        if (self.as_ == "figures") != (self.least is not None):
            raise ValueError(
                "`as: figures` and `least: {subjects, of}` belong together: a figure of few tells of each of them"
            )
        return self


@dataclass(frozen=True)
class EgressRule:
    """One rule: `columns` may leave in a `form` to the premises `to` for the `purposes`."""

    columns: tuple[str, ...]
    form: Form
    to: tuple[str, ...]
    purposes: tuple[str, ...]
    least: AggregationThreshold | None
    location: Location

    def allows(self, column: str, to: str, purpose: str | None) -> bool:
        """Return True if the rule is about this column, place and purpose."""
        return column in self.columns and to in self.to and purpose in self.purposes

    @property
    def words(self) -> str:
        """Say what the rule lets leave, for a finding."""
        least = f" of at least {self.least.subjects} {self.least.of}" if self.least is not None else ""
        return f"as {self.form}{least} to {' and '.join(self.to)} for {' and '.join(self.purposes)}"


@dataclass(frozen=True)
class EgressRules:
    """All rules of a contract, and where they stand."""

    rules: tuple[EgressRule, ...]
    location: Location

    def best(self, column: str, to: str, purpose: str | None) -> EgressRule | None:
        """Return the rule that lets a column go in the strongest form to a place for a purpose; None: it stays."""
        found = [rule for rule in self.rules if rule.allows(column, to, purpose)]
        return max(found, key=lambda rule: STRENGTH[rule.form], default=None)

    def hashed_together(self, columns: tuple[str, ...]) -> tuple[frozenset[str], ...]:
        """Return which of these columns leave hashed, for each place and purpose for which any of them does."""
        aims = dict.fromkeys((to, purpose) for rule in self.rules for to in rule.to for purpose in rule.purposes)
        found: dict[frozenset[str], None] = {}
        for to, purpose in aims:
            best = {column: self.best(column, to, purpose) for column in columns}
            hashed = frozenset(name for name, rule in best.items() if rule is not None and rule.form == "hashed")
            found |= {hashed: None} if hashed else {}
        return tuple(found)

    def about(self, column: str) -> tuple[EgressRule, ...]:
        """Return the rules that name a column, whatever the place and the purpose."""
        return tuple(rule for rule in self.rules if column in rule.columns)

    def places(self) -> Iterable[tuple[str, Location]]:
        """Yield every place that a rule names, with where it stands."""
        return ((place, rule.location) for rule in self.rules for place in rule.to)
