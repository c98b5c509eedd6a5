"""Which models may receive values of a premise: a call of a model is egress too."""

from pathlib import Path

from storymesh.errors import StorymeshError, WrongUsage
from storymesh.mesh.lookup import contracts_of, settings_of
from storymesh.mesh.mesh import Mesh
from storymesh.mesh.premises import Premise
from storymesh.mesh.residency import premises_hidden_from
from storymesh.narrative.typed import TypedNarrative
from storymesh.release.catalog import Release
from storymesh.release.egress import guarded_roles

_GUARDED = Premise(leaves="declared")


def require_model(mesh: Mesh, typed: TypedNarrative, model: str) -> None:
    """Raise StorymeshError for a model that may not see what a narrative of a mesh tells of."""
    _refuse(premises_hidden_from(mesh.residency, typed, model), model)


def require_model_for_release(mesh: str | Path | None, release: Release, model: str) -> None:
    """Raise StorymeshError for a model that may not see what a release tells of, as the mesh says that it is in. A
    release whose mesh is not here goes to no model where any premise that it tells of is guarded."""
    guarded = sorted({*guarded_roles(release, contracts_of(mesh, release)).values()})
    if not guarded:
        return
    try:
        premises = settings_of(mesh).premises
    except WrongUsage:
        premises = {}
    _refuse([name for name in guarded if not premises.get(name, _GUARDED).may_see(model)], model)


def _refuse(hidden: list[str], model: str) -> None:
    if hidden:
        words = f"{model} may not see values of {' and '.join(hidden)}: nothing was sent to it"
        hint = f"who runs the mesh names it in mesh.yaml: premises: {{{hidden[0]}: {{models: ['{model}']}}}}"
        raise StorymeshError(words, hint)
