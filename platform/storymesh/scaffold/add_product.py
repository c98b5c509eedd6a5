"""A product added to a mesh: its rows read, its files drafted, what a person says asked for, all of it written."""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from storymesh.document import Document, read_document
from storymesh.engine.open import open_engine
from storymesh.errors import DefinitionErrors, WrongUsage, suggest_name
from storymesh.mesh.mesh import read_mesh, read_settings
from storymesh.mesh.settings import Domain
from storymesh.product.dbt_project import DbtAccess
from storymesh.product.sources.options import ColumnForms, SourceOptions
from storymesh.scaffold.foreign_keys import DraftedRelationship, drafted_relationships
from storymesh.scaffold.names import plain_name
from storymesh.scaffold.new_files import NewFiles
from storymesh.scaffold.product import (
    NONE,
    Answers,
    ProductDraft,
    ProductPlace,
    draft_product,
    product_files,
    source_path,
)
from storymesh.scaffold.raw_rows import DomainProject, RawRows, find_rows
from storymesh.scaffold.source_guess import SourceGuess, guess_source

Ask = Callable[[str, str], str]
"""Returns what a person answers to a question, or the guess that is its second argument."""
_LISTS = ("dates", "times", "nulls")
_KNOWN = [field.alias or name for name, field in SourceOptions.model_fields.items() if name != "file"]
_OF_COLUMN = list(ColumnForms.model_fields)


@dataclass(frozen=True)
class ProductRequest:
    """The wishes of a person for a new product: the rows at `origin` as a product; None where the default or a guess
    will do.

    `options` say what its file looks like, as in `delimiter=tab`.
    """

    origin: str
    domain: str | None = None
    name: str | None = None
    table: str | None = None
    answers: Answers = field(default_factory=Answers)
    owner: str | None = None
    options: tuple[str, ...] = ()


def add_product(root: Path, request: ProductRequest, ask: Ask) -> tuple[ProductDraft, NewFiles]:
    """Write the files of a product and return what was guessed, and the files.

    Raises WrongUsage, SourceUnreadable or TransformFailed, and then nothing is written.
    """
    domain = _read_domain(root, request.domain)
    folder = root / "domains" / domain.id
    with tempfile.TemporaryDirectory() as scratch, open_engine() as engine:
        project = _dbt_project(root, domain.id, folder)
        raw = find_rows(engine, request.origin, request.table, project, Path(scratch))
        name = _product_name(request.name, raw.name, is_model=raw.is_model)
        for path in ProductPlace(domain.id, name, "", None).paths:
            if (root / path).exists():
                raise WrongUsage(f"{path} is there, and nothing is written over", "take another name: --name NAME")
        given = read_options(request.options, raw.file.name if raw.file is not None else "-")
        if raw.file is None and given.given:
            raise WrongUsage(
                "--with is for the rows of a file", "a dbt model or a database says itself how its values are written"
            )
        guess = guess_source(raw.file, given, engine) if raw.file is not None else SourceGuess(given)
        options = _asked_options(guess, ask)
        answers = request.answers
        if raw.key and not answers.key:
            answers = replace(answers, key=raw.key, key_reason="the primary key of the table")
        draft = draft_product(engine, raw.open(options), name, answers, options.forms)
        asked = _ask_person(draft, answers, ask)
        if asked != answers:
            draft = draft_product(engine, raw.open(options), name, asked, options.forms)
        related, unread = _relationships(root, name, raw, draft)
        if guess.has_local_times and options.zone is None:
            clock = "another clock is `zone: Europe/Prague` at the `source` of the product"
            unread = (*unread, f"times without an offset are read as UTC: {clock}")
        draft = replace(draft, layout=guess.reasons, notes_of_source=(*raw.notes, *unread, *guess.notes))
        copies: dict[str, Path] = {}
        source = None
        if raw.file is not None:
            source, found = source_path(name, raw.file, folder)
            copies = {f"domains/{domain.id}/{path}": file for path, file in found.items()}
        owner, layout = request.owner or domain.owner, _written_options(options)
        place = ProductPlace(domain.id, name, owner, source, layout, raw.served, related)
        files = product_files(draft, place) | NewFiles(copies=copies)
        files.write(root)
    return draft, files


def _relationships(
    root: Path, name: str, raw: RawRows, draft: ProductDraft
) -> tuple[tuple[DraftedRelationship, ...], tuple[str, ...]]:
    if raw.served is None or not raw.served.foreign_keys:
        return (), ()
    return drafted_relationships(read_mesh(root)[0], name, raw.served, draft.columns)


def _written_options(options: SourceOptions) -> dict[str, Any]:
    """Return the options as a person would write them: a list of one is that one."""
    return _shorten_fields(options.given)


def _shorten_fields(fields: dict[str, Any]) -> dict[str, Any]:
    short: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "columns":
            short[name] = {column: _shorten_fields(forms) for column, forms in value.items()}
        elif isinstance(value, tuple):
            short[name] = value[0] if name in ("dates", "times", "nulls") and len(value) == 1 else list(value)
        else:
            short[name] = value
    return short


def _asked_options(guess: SourceGuess, ask: Ask) -> SourceOptions:
    """Return the options with what a person says of what no file says: the zone of its clock, names of its columns."""
    options, fields = guess.options, dict[str, Any]()
    if guess.encoding_guessed and options.encoding is not None:
        fields["encoding"] = ask("The encoding of the file, which is not UTF-8", options.encoding)
    if guess.has_local_times and options.zone is None:
        zone = ask("The clock of its times without an offset (a zone such as Europe/Prague, or UTC)", "UTC")
        fields |= {"zone": zone} if zone != "UTC" else {}
    if not options.has_header and options.names is None:
        names = ask("The names of its columns, in their order (a,b,c)", NONE)
        fields |= {"names": [name.strip() for name in names.split(",")]} if names != NONE else {}
    if not fields:
        return options
    given = {**options.model_dump(by_alias=True, exclude_unset=True, mode="json"), **fields}
    try:
        return Document("that", given, {}, {}).parse(SourceOptions)
    except DefinitionErrors as errors:
        raise WrongUsage(errors.findings[0].message, errors.findings[0].hint) from None


def _read_domain(root: Path, name: str | None) -> Domain:
    """Return the domain of that name, or the only one. Raises WrongUsage."""
    there = sorted(path.parent.name for path in (root / "domains").glob("*/domain.yaml"))
    if name is None and len(there) != 1:
        words = "say whose product it is: --domain NAME" if there else "this mesh has no domain"
        raise WrongUsage(words, f"known: {', '.join(there)}" if there else "storymesh new domain NAME")
    chosen = name or there[0]
    if chosen not in there:
        hint = f"{suggest_name(chosen, there)}; storymesh new domain {chosen} makes one"
        raise WrongUsage(f"there is no domain '{chosen}'", hint)
    try:
        return read_document(root / "domains" / chosen / "domain.yaml", root).parse(Domain)
    except DefinitionErrors as errors:
        raise WrongUsage(str(errors.findings[0]), "mend it first") from None


def _dbt_project(root: Path, domain: str, folder: Path) -> DomainProject:
    settings = read_settings(root)
    read = tuple((root / path).resolve() for path in settings.dbt.read)
    access = DbtAccess(read, settings.dbt.env, domain in settings.dbt.unconfined, settings.dbt.time_limit)
    return DomainProject(domain, folder, settings.store.warehouse_of(root).folder, access)


def _product_name(wanted: str | None, found: str, *, is_model: bool) -> str:
    """Return the name of the product. Raises WrongUsage for one that no product can have."""
    if wanted is not None and wanted != plain_name(wanted, "product"):
        raise WrongUsage(
            f"'{wanted}' is no name of a product", f"small letters, digits and _: {plain_name(wanted, 'product')}"
        )
    if is_model and wanted not in (None, found):
        raise WrongUsage(f"the product of a dbt model has its name, '{found}'", "leave --name away")
    return found if is_model else wanted or plain_name(found, "product")


def _ask_person(draft: ProductDraft, answers: Answers, ask: Ask) -> Answers:
    """Return the answers with what a person says about the guesses that nobody has answered yet."""
    row = draft.row
    if answers.key is None:
        answer = ask("Which columns tell the rows apart", ",".join(row.key))
        key = tuple(part.strip() for part in answer.split(",") if part.strip())
        answers = replace(answers, key=key) if key != row.key else answers
    if answers.event_time is None and not answers.timeless:
        answer = ask(f"When did a row become true (a column, or `{NONE}`)", row.event_time or NONE)
        answers = replace(answers, event_time=answer) if answer != (row.event_time or NONE) else answers
    return answers


def read_options(words: Iterable[str], file: str) -> SourceOptions:
    """Return what words say of a file. A list of formats or of words for nothing is given word by word.

    Raises WrongUsage.
    """
    all_fields: dict[str, Any] = {"file": file}
    for word in words:
        name, sign, text = word.partition("=")
        fields, known = all_fields, _KNOWN
        if name.startswith("columns.") and name.count(".") > 1:
            column, _, name = name.removeprefix("columns.").rpartition(".")
            fields, known = all_fields.setdefault("columns", {}).setdefault(column, {}), _OF_COLUMN
        if not sign or name not in known or name == "columns":
            hint = "for instance delimiter=tab" if not sign else suggest_name(name, known)
            raise WrongUsage(f"--with {word}: {'no option of a source' if sign else 'NAME=VALUE is wanted'}", hint)
        if name in _LISTS:
            fields.setdefault(name, []).append(text)
        elif name in fields:
            raise WrongUsage(f"--with {word}: '{name}' is said twice", "say it once")
        else:
            fields[name] = _value(name, text)
    try:
        return Document("--with", all_fields, {}, {}).parse(SourceOptions)
    except DefinitionErrors as errors:
        finding = errors.findings[0]
        raise WrongUsage(f"--with: {finding.message}", finding.hint) from None


def _value(name: str, text: str) -> Any:
    match name:
        case "names":
            return [part.strip() for part in text.split(",")]
        case "header":
            return {"true": True, "false": False, "yes": True, "no": False}.get(text.lower(), text)
        case "skipRows":
            return int(text) if text.isdecimal() else text
        case "sheet":
            return int(text) if text.isdecimal() and len(text) < 4 else text
        case _:
            return text
