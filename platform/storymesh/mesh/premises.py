"""The premises of a mesh in `mesh.yaml`: where data lives, what may leave, and which models may see it."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from storymesh.contract.egress_rules import HUB
from storymesh.document import Definition

DEFAULT_PREMISE = "default"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")  # it also names a folder


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class PremiseLink(Definition):
    """The network link out of a premise, with its price for a gigabyte relative to the others."""

    price: float = Field(default=1.0, ge=0, le=1_000_000)


class Premise(Definition):
    """One place where data lives.

    `leaves` is `declared` where only what a rule of a contract names may leave, `anything` else. `models` are those
    that may see the values of a premise of declared leavings, as narratives and commands write them: `openai:gpt-4o`,
    or `openai:*` for all of one provider. `narratives` are those whose cases are made here, wherever those of others
    are.
    """

    leaves: Literal["anything", "declared"] = "anything"
    link: PremiseLink = PremiseLink()
    models: Annotated[tuple[str, ...], BeforeValidator(_as_tuple, json_schema_input_type=list[str])] = ()
    narratives: Annotated[tuple[str, ...], BeforeValidator(_as_tuple, json_schema_input_type=list[str])] = ()

    @property
    def guarded(self) -> bool:
        """True if nothing leaves but by a rule of its contract."""
        return self.leaves == "declared"

    def may_see(self, model: str) -> bool:
        """Return True if a model may be sent values of the premise."""
        return not self.guarded or self.names(model)

    def names(self, model: str) -> bool:
        """Return True if a model is named as one that may see the values of the premise."""
        provider = f"{model.partition(':')[0]}:*"
        return model in self.models or provider in self.models


def _as_mapping(value: Any) -> Any:
    """Return the premises by their names: of a list of names, each is one of which anything may leave."""
    if isinstance(value, list):
        if not all(isinstance(name, str) for name in value):
            raise ValueError("a list of premises holds their names")
        if len({*value}) < len(value):
            raise ValueError("a premise stands twice")
        return {name: {} for name in value}
    if isinstance(value, str):
        raise ValueError(f"'premises' is a text, names or fields are wanted: [{value}], or {{{value}: {{}}}}")
    return {name: fields or {} for name, fields in value.items()} if isinstance(value, dict) else value


def _check_names(value: Mapping[str, Premise]) -> Mapping[str, Premise]:
    if not value:
        raise ValueError("a mesh has a premise: name one, as in {hq: {}}")
    if unfit := [name for name in value if not _NAME.fullmatch(name)]:
        raise ValueError(f"'{unfit[0][:100]}' is no name of a premise: letters, digits, - and _")
    if HUB in value:
        raise ValueError(f"'{HUB}' is where `storymesh push` takes releases; name the premise otherwise")
    seats = Counter(narrative for premise in value.values() for narrative in {*premise.narratives})
    if twice := [narrative for narrative, count in seats.items() if count > 1]:
        places = " and ".join(name for name, premise in value.items() if twice[0] in premise.narratives)
        raise ValueError(f"the cases of '{twice[0]}' are made at one premise, and {places} name it")
    return value


Premises = Annotated[
    Mapping[str, Premise],
    BeforeValidator(_as_mapping, json_schema_input_type=list[str] | dict[str, Premise | None]),
    AfterValidator(_check_names),
]
