"""A files definition against its contract: every expression typed before any file is opened."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from storymesh.contract.definition import Contract
from storymesh.errors import DefinitionErrors, Finding, suggest_name
from storymesh.files.definition import FilesFile, FilesSource
from storymesh.files.extraction.definition import TypedExtraction, type_extraction
from storymesh.files.reading.readers import READERS
from storymesh.files.reading.reading import KINDS
from storymesh.language.ast import Expression, FilterCall
from storymesh.language.parse import parse_expression
from storymesh.language.static_values import ANYTHING, a_kind
from storymesh.language.typecheck.scope import Checked, CheckedExpression, CheckedTemplate
from storymesh.language.typecheck.templates import check_expression
from storymesh.language.types import (
    Array,
    Boolean,
    Date,
    Decimal,
    Field,
    Float,
    Integer,
    Json,
    Null,
    Struct,
    Text,
    Timestamp,
    Type,
)
from storymesh.location import Location

FILE = "file"
TEXT = "text"
ATTACHMENTS = "attachments"
CONFIDENCE = "confidence"
FILE_FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        "uri": Field(Text()),
        "name": Field(Text()),
        "folder": Field(Text()),
        "size": Field(Integer()),
        "arrived": Field(Timestamp(), nullable=True),
        "sha256": Field(Text()),
    }
)
"""What is known of each file without a reader. `arrived` is when its storage got it, in UTC."""

_ATTACHMENT = {
    "part": Field(Text()),
    "name": Field(Text()),
    "kind": Field(Text(), nullable=True),
    "size": Field(Integer()),
    "sha256": Field(Text()),
    "text": Field(Text(), nullable=True),
    "refused": Field(Text(), nullable=True),
}

_READ_OF_ATTACHMENT = ("text", "refused")


@dataclass(frozen=True)
class TypedFiles:
    """A files definition whose expressions are typed, and what a model is asked of each file, if any is."""

    source: FilesSource
    take: Mapping[str, CheckedExpression]
    where: CheckedExpression | None
    extraction: TypedExtraction | None
    warnings: tuple[Finding, ...]

    @property
    def file(self) -> FilesFile:
        """The definition as it was read."""
        return self.source.file

    @property
    def reads_attachments(self) -> Location | None:
        """Where an expression or the prompt reads what attachments say; None where their readers shape no row."""
        document = self.source.document
        read: list[tuple[Checked, Location]] = [
            (checked, document.at("take", name)) for name, checked in self.take.items()
        ]
        if self.where is not None:
            read.append((self.where, document.at("where")))
        if self.extraction is not None:
            read.append((self.extraction.prompt, document.at("extract", "prompt")))
        return next((place for checked, place in read if _reads_attachments(checked)), None)


def _reads_attachments(checked: Checked) -> bool:
    """Return True if an expression or a template reads what a reader makes of attachments, or takes them whole."""
    if any((ATTACHMENTS, name) in checked.reads for name in _READ_OF_ATTACHMENT):
        return True
    if isinstance(checked, CheckedTemplate):
        return False
    kind = checked.value.type
    kept = kind.item.type if isinstance(kind, Array) else kind
    return ATTACHMENTS in checked.names and isinstance(kept, Struct)


def reading_fields(file: FilesFile) -> dict[str, Field]:
    """Return the names that a reading of these files has, with their types."""
    fields = {TEXT: Field(Text()), **KINDS[file.origin.kind], CONFIDENCE: Field(Float(), nullable=True)}
    if file.origin.attachments:
        fields[ATTACHMENTS] = Field(Array(Field(Struct(_ATTACHMENT))))
    return fields


def files_scope(file: FilesFile, row: Contract | None) -> dict[str, Field]:
    """Return the names that expressions may use; `row` is the contract of the product whose column is read."""
    scope = {FILE: Field(Struct(FILE_FIELDS)), **reading_fields(file)}
    return scope if row is None else {**scope, "row": Field(row.struct)}


def type_files(source: FilesSource, contract: Contract, row: Contract | None) -> TypedFiles:
    """Return the definition typed against the contract of its product. Raises DefinitionErrors."""
    file, document = source.file, source.document
    scope = files_scope(file, row)
    findings = [*source.findings, *_option_findings(source), *_column_findings(source, row)]
    take: dict[str, CheckedExpression] = {}
    for name, text in file.take.items():
        wanted = contract.properties.get(name)
        if wanted is None:
            words = f"'{name}' is no property of {contract.document.path}"
            hint = suggest_name(name, contract.properties)
            findings.append(Finding(document.key_at("take", name), "unknown-name", words, hint))
            continue
        try:
            parsed = parse_expression(text, document.at("take", name))
            checked = check_expression(parsed, scope)
        except DefinitionErrors as errors:
            findings += errors.findings
            continue
        take[name] = checked
        if checked.value.type is not ANYTHING and not _is_assignable(checked.value.type, wanted.type, parsed):
            words = f"this is {a_kind(checked.value.type)}, and {contract.document.path} promises {a_kind(wanted.type)}"
            findings.append(document.finding(("take", name), "wrong-type", f"'{name}': {words}"))
    where = _read_where(source, scope, findings)
    asked = tuple(name for name, item in contract.properties.items() if name not in file.take and not item.evidence)
    findings += _giver_findings(source, contract, asked)
    extraction = None
    if file.extract is not None and asked:
        try:
            extraction = type_extraction(source, contract, asked, scope)
        except DefinitionErrors as errors:
            findings += errors.findings
    if any(finding.severity == "error" for finding in findings):
        raise DefinitionErrors(findings)
    warnings = [warning for checked in take.values() for warning in checked.warnings]
    return TypedFiles(source, MappingProxyType(take), where, extraction, (*findings, *warnings))


def _read_where(source: FilesSource, scope: Mapping[str, Field], findings: list[Finding]) -> CheckedExpression | None:
    if source.file.where is None:
        return None
    try:
        checked = check_expression(parse_expression(source.file.where, source.document.at("where")), scope)
    except DefinitionErrors as errors:
        findings += errors.findings
        return None
    if not isinstance(checked.value.type, Boolean | Null):
        words = f"'where' is {a_kind(checked.value.type)}, a condition is wanted"
        findings.append(source.document.finding(("where",), "wrong-type", words, "for instance '\"SHP-\" in text'"))
    return checked


def _giver_findings(source: FilesSource, contract: Contract, asked: tuple[str, ...]) -> Iterator[Finding]:
    """Yield what is wrong with who gives each property: the files, or the model."""
    document, extract = source.document, source.file.extract
    if extract is None and contract.evidence is not None:
        words = f"'{contract.evidence}' has the evidence of what a model takes, and no model is asked"
        yield Finding(contract.properties[contract.evidence].location, "nobody-gives", words, "leave it out")
    elif contract.evidence in source.file.take:
        words = f"'{contract.evidence}' is given twice: by `take`, and by the platform"
        yield Finding(document.key_at("take", str(contract.evidence)), "given-twice", words, "leave it out of `take`")
    if extract is None and asked:
        names = ", ".join(f"'{name}'" for name in asked)
        words = f"nothing gives {names}, which {contract.document.path} promises"
        hint = "take it from what the reader gives, ask a model by `extract:`, or leave it out of the contract"
        place = document.key_at("take") if source.file.take else document.at()
        yield Finding(place, "nobody-gives", words, hint)
    if extract is not None:
        if not asked:
            words = "'take' gives every property of the contract, and nothing is left to ask a model for"
            yield Finding(document.key_at("extract"), "given-twice", words, "leave `extract` out")
        for name in extract.evidence:
            at = document.key_at("extract", "evidence", name)
            if name in source.file.take:
                words = f"'{name}' is given twice: by `take`, and by the model"
                yield Finding(at, "given-twice", words, "keep one of the two")
            elif name not in contract.properties:
                words = f"'{name}' is no property of {contract.document.path}"
                yield Finding(at, "unknown-name", words, suggest_name(name, contract.properties))
    if contract.hindsight:
        words = f"{contract.document.path} has no eventTime, so only stories that know the end may use these rows"
        hint = "name the property that says when each became true, or say timeless: true"
        yield Finding(document.at("kind"), "no-event-time", words, hint, "warning")


def _option_findings(source: FilesSource) -> Iterator[Finding]:
    """Yield the options that the reader does not have."""
    origin = source.file.origin
    kinds = (origin.kind, *origin.attachments)
    known = {name for kind in kinds for name in READERS[kind].options}
    for name in origin.reader.model_dump(exclude_none=True):
        if name not in known:
            words = f"the reader of {origin.kind} has no option '{name}'"
            yield Finding(source.document.key_at("from", "reader", name), "wrong-value", words, "leave it away")


def _column_findings(source: FilesSource, row: Contract | None) -> Iterator[Finding]:
    """Yield what is wrong with the column of another product that files or texts come from."""
    origin = source.file.origin
    if row is None or origin.product is None:
        return
    part = "url" if origin.url is not None else "text"
    column = origin.url if origin.url is not None else origin.text
    assert column is not None
    found = row.properties.get(column)
    at = ("from", part)
    if found is None:
        words = f"'{column}' is no property of {row.document.path}"
        yield source.document.finding(at, "unknown-name", words, suggest_name(column, row.properties))
    elif not isinstance(found.type, Text):
        words = f"'{column}' of {row.document.path} is {a_kind(found.type)}, a text is wanted"
        yield source.document.finding(at, "wrong-type", words)
    if not row.key:
        words = f"{row.document.path} has no primaryKey, by which its rows are known again"
        yield source.document.finding(("from", "product"), "no-key", words, "give it one")


def _is_assignable(given: Type, wanted: Type, expression: Expression | None = None) -> bool:
    """Return True where every value of a type is one of the wanted type, without a loss."""
    match given, wanted:
        case (Null(), _) | (_, Json()):
            return True
        case (Integer(), Integer() | Decimal() | Float()) | (Decimal(), Decimal() | Float()) | (Float(), Float()):
            return True
        case (Date(), Date() | Timestamp()):
            return True
        case (Text(), Date()):  # a day of a moment is written by a filter
            return isinstance(expression, FilterCall) and expression.name == "date"
        case (Array(item), Array(other)):
            return _is_assignable(item.type, other.type)
        case (Struct(fields), Struct(others)):
            return all(
                name in fields
                and isinstance(found := fields[name], Field)
                and isinstance(other, Field)
                and _is_assignable(found.type, other.type)
                for name, other in others.items()
            )
        case _:
            return type(given) is type(wanted)
