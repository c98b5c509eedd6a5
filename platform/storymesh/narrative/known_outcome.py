"""Outcomes that are no secret: whether a case worked, told by values that the contracts call known when it is asked.

Mostly a contract does not say yet when a value came (`knownAt`), so that it counts as known with its row. Then every
question may print what its answer should have to find out.
"""

from collections.abc import Iterator

from storymesh.case.resolve import Cast
from storymesh.case.scopes import TypedCase
from storymesh.errors import Finding
from storymesh.language.static_values import Path
from storymesh.narrative.definition import Narrative


def known_outcome_warnings(narrative: Narrative, cast: Cast, case: TypedCase) -> Iterator[Finding]:
    """Yield a warning where `outcome.worked` reads nothing that comes after the question."""
    worked = case.outcome.get("worked")
    if worked is None:
        return
    read = sorted({path[:2] for name in worked.checked.reads for path in case.base_paths(name)})
    if not read or not all(_is_known_when_asked(cast, path) for path in read):
        return
    words = ", ".join(f"'{'.'.join(path)}'" for path in read)
    message = (
        f"`worked` reads {words}, known when the question is asked as the {_contracts(cast, read)}: a question can "
        "print how its case went"
    )
    hint = "a value that comes later has the customProperty `knownAt`, which names the property with its moment"
    yield Finding(narrative.at("case", "outcome", "worked"), "outcome-known", message, hint, "warning")


def _is_known_when_asked(cast: Cast, path: Path) -> bool:
    """Return True if every question sees the value of a property."""
    role = cast.roles.get(path[0])
    if role is None or len(path) < 2 or role.may_be_unknown or role.contract.hindsight:
        return False
    return not cast.never_known(role, path[1]) and cast.known_with_row(role, path[1])


def _contracts(cast: Cast, read: list[Path]) -> str:
    names = sorted({cast.roles[path[0]].contract.id for path in read})
    return f"contract{'s' if len(names) > 1 else ''} of {' and '.join(names)} {'have' if len(names) > 1 else 'has'} it"
