"""Options of a source as words of a command line: `delimiter=tab`, `names=id,at`, `columns.paid.decimal=,`."""

from collections.abc import Iterable
from typing import Any

from storymesh.document import Document
from storymesh.errors import DefinitionErrors, WrongUsage, suggest_name
from storymesh.product.sources.options import ColumnForms, SourceOptions

_LISTS = ("dates", "times", "nulls")
_KNOWN = [field.alias or name for name, field in SourceOptions.model_fields.items() if name != "file"]
_OF_COLUMN = list(ColumnForms.model_fields)


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
