"""The values of the names that a narrative's expressions use, read for single cases as an origin is resolved."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from storymesh.case.link import KEY
from storymesh.case.visibility import template_names
from storymesh.dataset.build import Build
from storymesh.dataset.tables import cases_with_precedents
from storymesh.engine.engine import Engine
from storymesh.errors import DefinitionErrors, NotInLanguage, TooLarge
from storymesh.language import ast
from storymesh.language.interpret import as_value
from storymesh.language.provenance import TracingInterpreter
from storymesh.language.traced_values import TracedValue
from storymesh.language.typecheck.templates import check_expression
from storymesh.provenance.file_evidence import EvidenceLookup, FileEvidence
from storymesh.provenance.verification_sql import VerificationQueries

View = Literal["hindsight", "question"]

_VALUE = "value"


class CaseValues:
    """The cases of a build, with the values of all names that an expression of the narrative may use, by view."""

    def __init__(self, build: Build, engine: Engine) -> None:
        self.build = build
        self._engine = engine
        self._evidence = EvidenceLookup(build, engine)
        self._names: dict[str, dict[View, Mapping[str, Any]]] = {}
        self._interpreters: dict[tuple[View, ast.Expression], TracingInterpreter] = {}

    def evidence(self, role: str, key: str, column: str) -> FileEvidence | None:
        """Return where in a file a property of a row stands, if its product says it and it may be shown."""
        if not self._evidence.has_evidence(role):
            return None
        if not self._evidence.is_read(role, key):
            self._evidence.read(role, (key, *self._row_keys(role)))
        return self._evidence.of_value(role, key, column)

    def _row_keys(self, role: str) -> Iterator[str]:
        """Yield the keys of the rows of a role in the cases that were read."""
        for views in self._names.values():
            for names in views.values():
                value = names.get(role)
                for row in value if isinstance(value, list) else [value]:
                    if isinstance(row, dict) and KEY in row:
                        yield row[KEY]

    @cached_property
    def queries(self) -> VerificationQueries:
        return VerificationQueries(self.build, self._engine)

    def load(self, case_ids: Sequence[str] | None) -> None:
        """Read these cases at once, those of them that have not been read, or all."""
        if case_ids is not None:
            case_ids = [case_id for case_id in case_ids if case_id not in self._names]
            if not case_ids:
                return
        typed = self.build.typed
        cases = cases_with_precedents(self.build, self._engine)
        if case_ids is not None:
            cases = cases.filter(cases["case_id"].isin(case_ids))
        views: tuple[View, ...] = ("hindsight", "question")
        columns = {
            f"{view[0]}_{name}": value
            for view in views
            for name, value in template_names(cases, typed.cast, typed.case, view).items()
        }
        for batch in self._engine.stream_batches(cases.select("case_id", **columns)):
            for row in batch.to_pylist():
                self._names[row["case_id"]] = {
                    view: as_value({name[2:]: row[name] for name in row if name.startswith(f"{view[0]}_")})
                    for view in views
                }

    def names(self, case_id: str, view: View) -> Mapping[str, Any]:
        """Return the value of each name for one case."""
        if case_id not in self._names:
            self.load([case_id])
        return self._names[case_id][view]

    def trace_expression(self, expression: ast.Expression, case_id: str, view: View) -> TracedValue | None:
        """Return an expression's value for one case with the paths that it read; None if the interpreter has none."""
        try:
            if (view, expression) not in self._interpreters:
                tree = check_expression(expression, self.build.typed.case.scopes[view]).tree
                template = ast.Template(_VALUE, tree.at.path, (ast.Assign(tree.at, _VALUE, tree),))
                self._interpreters[view, expression] = TracingInterpreter(template, b"", propagating=True)
            return self._interpreters[view, expression].trace_value(_VALUE, self.names(case_id, view))
        except (NotInLanguage, TooLarge, DefinitionErrors):
            return None
