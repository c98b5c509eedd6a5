"""Guesses about a column: its type and constraints, from its values, each with a reason.

A guess never refuses a row that the data has: where some values do not fit a type, the column stays a text.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from storymesh.scaffold.column_profile import MAX_VALUES, ColumnProfile

if TYPE_CHECKING:
    import pyarrow as pa

MOMENT_TYPES = ("date", "timestamp")
_MIN_REPEATS = 5  # rows for each distinct value of what is taken for a list of codes
_MAX_CODE_LENGTH = 40
_PERSONAL_SHARE = 0.5  # of the texts that hold personal data, from which on a column is taken to consist of it
_MIN_FIT_SHARE = 0.9
# What people call columns about a person; not one of these names is needed for what the values themselves show.
_PERSONAL_NAME = re.compile(
    r"(.*_)?(e_?mail|phone|mobile|telephone|iban|ssn|passport|first_?name|last_?name|full_?name|surname|forename"
    r"|family_name|given_name|birth_?day|birth_?date|date_of_birth|dob|street|home_address"
    r"|(customer|client|person|patient|member|contact|employee|driver|owner|user|recipient|author)_?name)(_.*)?"
)


@dataclass(frozen=True)
class ColumnGuess:
    """A property of the contract to be: `fields` are those of the standard, `reasons` say why in words.

    `notes` say what a person should look at. `name` is the property's, `profile` what was counted.
    """

    name: str
    profile: ColumnProfile
    fields: Mapping[str, Any]
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()
    known_at: str | None = None

    @property
    def logical_type(self) -> str:
        return str(self.fields["logicalType"])

    @property
    def restricted(self) -> bool:
        return self.fields.get("classification") == "restricted"


@dataclass
class _Draft:
    """A guess that is being made."""

    fields: dict[str, Any]
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def guess_column(name: str, profile: ColumnProfile) -> ColumnGuess:
    """Guess the property `name` for the column of `profile`."""
    draft = _Draft({"name": name})
    if profile.name != name:
        draft.fields["physicalName"] = profile.name
    if profile.is_text:
        _guess_text_type(draft, profile)
    else:
        draft.fields |= _typed_fields(profile.found)
        draft.reasons.append(f"{profile.found} in the source")
    if profile.complete:
        draft.fields["required"] = True
        draft.reasons.append("required: no row lacks it")
    elif profile.present:
        lacking = profile.rows - profile.present
        draft.reasons.append(f"{lacking:,} rows lack it" if lacking > 1 else "1 row lacks it")
    if profile.errors:
        draft.notes.append(f"{profile.errors:,} cells are errors of the workbook: their rows will be quarantined")
    _guess_classification(draft, name, profile)
    if not _is_personal(draft):
        _guess_values(draft, profile)
    return ColumnGuess(name, profile, draft.fields, tuple(draft.reasons), tuple(draft.notes))


def _guess_text_type(draft: _Draft, profile: ColumnProfile) -> None:
    fits, present = profile.fits, profile.present
    if present == 0:
        draft.fields["logicalType"] = "string"
        draft.notes.append("it has no value at all")
        return
    kinds = ("boolean", "integer", "number", "date", "timestamp", "time", "array", "object")
    kind = next((kind for kind in kinds if fits[kind] == present and not _is_letter(kind, profile)), None)
    if kind is None:
        draft.fields["logicalType"] = "string"
        _explain_text(draft, profile)
        return
    draft.fields["logicalType"] = kind
    draft.reasons.append(f"every value is {'an' if kind[0] in 'aio' else 'a'} {kind}")
    if kind == "number":
        _guess_digits(draft, profile)


def _is_letter(kind: str, profile: ColumnProfile) -> bool:
    """Return True for a column with one letter only, such as `n`: it is a code, though one for no."""
    return kind == "boolean" and profile.distinct == 1 and profile.longest == 1


def _guess_digits(draft: _Draft, profile: ColumnProfile) -> None:
    """Take numbers of at most four digits after the decimal point for exact ones, such as amounts, with room for
    more."""
    if profile.fits["exponent"] == 0 and profile.fraction_digits <= 4 and profile.longest <= 16:
        scale = 2 if profile.fraction_digits <= 2 else 4
        draft.fields["physicalType"] = f"decimal(18,{scale})"
        draft.reasons.append(f"at most {profile.fraction_digits} digits after the decimal point")


def _explain_text(draft: _Draft, profile: ColumnProfile) -> None:
    fits, present = profile.fits, profile.present
    if fits["code"] and fits["number"] + fits["code"] == present:
        draft.reasons.append("numbers with leading zeros are codes")
        return
    kind = max(("number", "date", "timestamp", "boolean"), key=lambda kind: fits[kind])
    if _MIN_FIT_SHARE * present <= fits[kind] < present:
        draft.notes.append(f"{fits[kind]:,} of {present:,} values are a {kind} and the others are not: kept as text")
        return
    draft.reasons.append("texts that are nothing else")


def _typed_fields(found: "pa.DataType") -> dict[str, Any]:
    """Return the type of a property for the values of an Arrow type. Raises ValueError for bytes."""
    import pyarrow.types as at

    if at.is_boolean(found):
        return {"logicalType": "boolean"}
    if at.is_integer(found):
        wide = at.is_uint64(found)
        return {"logicalType": "number", "physicalType": "decimal(20,0)"} if wide else {"logicalType": "integer"}
    if at.is_decimal(found):
        return {"logicalType": "number", "physicalType": f"decimal({found.precision},{found.scale})"}
    if at.is_floating(found):
        return {"logicalType": "number"}
    if at.is_date(found):
        return {"logicalType": "date"}
    if at.is_timestamp(found):
        return {"logicalType": "timestamp"}
    if at.is_list(found) or at.is_large_list(found):
        return {"logicalType": "array", "items": _typed_fields(found.value_type)}
    if at.is_struct(found):
        inside = [{"name": below.name, **_typed_fields(below.type)} for below in found]
        return {"logicalType": "object", "properties": inside}
    if at.is_string(found) or at.is_large_string(found) or at.is_null(found):
        return {"logicalType": "string"}
    raise ValueError(f"{found} is no text, number or moment")


def is_readable(profile: ColumnProfile) -> bool:
    """Return False for a column of bytes, or of nothing but errors, which no property holds."""
    if profile.errors and not profile.present:
        return False
    try:
        _typed_fields(profile.found)
    except ValueError:
        return False
    return True


def _guess_classification(draft: _Draft, name: str, profile: ColumnProfile) -> None:
    found = sum(profile.personal.values())
    kinds = ", ".join(sorted(profile.personal))
    if found and found >= _PERSONAL_SHARE * profile.searched:
        draft.fields["classification"] = "restricted"
        draft.reasons.append(f"restricted: {found:,} of {profile.searched:,} texts hold personal data ({kinds})")
    elif _PERSONAL_NAME.fullmatch(name):
        draft.fields["classification"] = "restricted"
        draft.reasons.append("restricted: its name says that it is about a person")
    else:
        draft.fields["classification"] = "internal"
        if found:
            draft.notes.append(
                f"{found:,} of {profile.searched:,} texts hold personal data ({kinds}): masked in releases"
            )


def _is_personal(draft: _Draft) -> bool:
    return bool(draft.fields["classification"] == "restricted")


def _guess_values(draft: _Draft, profile: ColumnProfile) -> None:
    """Guess an enum, or that numbers are never negative."""
    kind = draft.fields["logicalType"]
    few = 0 < len(profile.values) <= MAX_VALUES and profile.present >= _MIN_REPEATS * max(4, len(profile.values))
    if kind == "string" and profile.is_text and few and profile.longest <= _MAX_CODE_LENGTH:
        draft.fields["enum"] = [{"value": value, "label": _label(value)} for value in sorted(profile.values)]
        draft.reasons.append(f"enum: {len(profile.values)} values in {profile.present:,} rows")
        if len(profile.values) == 2:
            # Which of two words of whatever language says yes, nobody can tell from the data.
            draft.reasons.append(f"for yes or no a condition names one: `{draft.fields['name']} == {_quoted(profile)}`")
    elif kind in ("integer", "number") and profile.lowest is not None and profile.lowest >= 0:
        draft.fields["logicalTypeOptions"] = {"minimum": 0}
        draft.reasons.append("minimum: never below 0")


def _quoted(profile: ColumnProfile) -> str:
    return json.dumps(min(profile.values), ensure_ascii=False)


def _label(code: str) -> str:
    words = re.sub(r"[_\s]+", " ", code).strip()
    return words or code
