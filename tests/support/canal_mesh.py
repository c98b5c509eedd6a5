"""The scopes that the tests of the language share: a small narrative with every kind of role, property and view."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from storymesh.case.resolve import resolve_cast
from storymesh.case.scopes import TypedCase, type_case
from storymesh.contract.definition import Contract
from storymesh.contract.read import read_contract
from storymesh.errors import DefinitionErrors
from storymesh.language.ast import Template
from storymesh.language.parse import parse_template
from storymesh.language.typecheck.scope import CheckedTemplate, Scope
from storymesh.language.typecheck.templates import check_template
from storymesh.language.types import Array, Field, Hidden, Struct
from storymesh.narrative.definition import Narrative, read_narrative
from tests.support.paths import TESTS

MESH = TESTS / "language/canal"


@cache
def canal() -> tuple[Narrative, Mapping[str, Contract]]:
    narrative = read_narrative(MESH / "narratives" / "canal_stories" / "narrative.yaml", MESH)
    paths = {role: member.product.replace(".", "/") for role, member in narrative.cast.items()}
    return narrative, {
        role: read_contract(MESH / "contracts" / f"{path}.odcs.yaml", MESH) for role, path in paths.items()
    }


@cache
def canal_views() -> TypedCase:
    narrative, contracts = canal()
    cast = resolve_cast(narrative.case, contracts, narrative.at)
    return type_case(narrative.case, cast, narrative.at, frozenset({("shipment", "sender")}))


def scope_of(view: str) -> Scope:
    """What a template of the view sees; `option` is an answer about one precedent option."""
    if view != "option":
        return canal_views().scopes[view]  # type: ignore[index]
    answer = canal_views().scopes["answer"]
    precedents = answer["precedents"]
    assert isinstance(precedents, Field) and isinstance(precedents.type, Struct)
    options = precedents.type.fields["options"]
    assert isinstance(options, Field) and isinstance(options.type, Array)
    return {**answer, "option": options.type.item}


@dataclass(frozen=True)
class Folder:
    """The templates of one narrative folder, by name."""

    texts: Mapping[str, str]

    def get(self, name: str) -> Template | None:
        return parse_template(self.texts[name], name, name) if name in self.texts else None


def check(text: str, view: str = "hindsight", partials: Mapping[str, str] | None = None) -> CheckedTemplate:
    """What the checker says of `t.jinja`. Raises DefinitionErrors."""
    folder = Folder({"t.jinja": text, **(partials or {})})
    unprintable: Mapping[tuple[str, ...], Hidden] = canal_views().unprintable if view == "question" else {}
    template = folder.get("t.jinja")
    assert template is not None
    return check_template(template, scope_of(view), folder.get, unprintable)


def findings(text: str, view: str = "hindsight", partials: Mapping[str, str] | None = None) -> list[str]:
    """The findings as they are printed; empty where the template compiles."""
    try:
        check(text, view, partials)
    except DefinitionErrors as refused:
        return [str(finding) for finding in refused.findings]
    return []
