"""The manifest of a release, `release.json`: what it was made from, what it holds, and the digests that prove it.

With the manifest and the products of its cast the same release can be made again. A release may come from strangers:
every name and path in the manifest is checked when it is read, before anything uses it.
"""

import hashlib
import json
import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    StringConstraints,
    ValidationError,
    model_validator,
)

from storymesh.case.definition import NAME
from storymesh.errors import StorymeshError
from storymesh.federation.receipts import Receipt
from storymesh.input_file import InputFileRefused, read_input
from storymesh.narrative.definition import ID
from storymesh.printable import shortened
from storymesh.release.layout import MANIFEST, RELEASE_FOLDER, SIGNATURES

CASE = "case"  # stands in `drops` for the cases themselves, beside the configs
DIGEST_FORM = "storymesh-release-1"
MAX_BYTES = 64 * 2**20  # of a manifest
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,250}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,250}){0,15}")
_HINT = "cut the release again, or remove its folder"


def _require_listed(path: str) -> str:
    if not _PATH.fullmatch(path) or path in (MANIFEST, SIGNATURES):
        raise ValueError("not a path inside the release that a file of it may have")
    return path


def _require_plain(text: str) -> str:
    if unfit := next((sign for sign in text if not (sign.isprintable() or sign == " ")), None):
        raise ValueError(f"it has the character U+{ord(unfit):04X}, which no name has")
    return text


# Every text of a manifest is one of these. Messages print them, and folders, files and columns are named by some.
_MAX_NAME_LENGTH = 200
_NarrativeId = Annotated[str, StringConstraints(pattern=ID.pattern, max_length=_MAX_NAME_LENGTH)]
_Version = Annotated[str, StringConstraints(pattern=f"^{RELEASE_FOLDER.pattern}$")]
_NarrativeVersion = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}$")]
_Name = Annotated[str, StringConstraints(pattern=NAME.pattern, max_length=_MAX_NAME_LENGTH)]
_Split = Annotated[str, StringConstraints(pattern="^[a-z]+$", max_length=_MAX_NAME_LENGTH)]
_Product = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$", max_length=_MAX_NAME_LENGTH)]
_Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
_Text = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_require_plain)]
_RelativePath = Annotated[_Text, AfterValidator(_require_listed)]
_Count = Annotated[NonNegativeInt, Field(le=2**63 - 1)]

Counts = Mapping[str, Mapping[str, int]]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class ReleasedProduct(_Frozen):
    """The snapshot of a product that a role was read from; `rows` is its number of rows."""

    product: _Product
    contract_version: _Text
    contract_digest: _Text
    product_version: _Text
    snapshot: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    rows: _Count


class EvaluationSummary(_Frozen):
    """The evaluation set that records were checked against: `files` by their SHA-256, its `items`, how many of them are
    `too_short` to be recognised, and the count and digest of its hashed word `runs`."""

    files: Mapping[_Text, _Sha256]
    items: _Count
    too_short: _Count
    runs: _Count
    digest: _Sha256


class PersonalDataSummary(_Frozen):
    """What the free text held: `<role>.<property>` -> kind of personal data -> distinct values that contain it."""

    mode: _Text
    values: Mapping[_Text, Mapping[_Text, _Count]]


class RewritingSummary(_Frozen):
    """How many texts of a config a model was asked to rewrite, how many it did, and after how many attempts."""

    model: _Text
    texts: _Count
    retold: _Count
    attempts: Mapping[_Text, _Count]


class RecitationSummary(_Frozen):
    """How much of its `answers` a config recites: values that stand neither in the question nor in other answers.
    `reciting` answers have a sentence with such values; of all `characters`, `recited` are in such sentences. `places`:
    what printed the values -> how often."""

    answers: _Count
    reciting: _Count
    characters: _Count
    recited: _Count
    places: Mapping[_Text, _Count]

    @property
    def share(self) -> float:
        """The share of the characters that are in sentences which recite."""
        return self.recited / self.characters if self.characters else 0.0


class EvidenceSummary(_Frozen):
    """How many values of a property were `taken` from what the reader of a file gives, `quoted` by a model or `found`
    by the platform in so many words, or `judged` by a model, which nothing proves; `recognised` are those among them
    whose words were heard, or recognised in a picture."""

    taken: _Count = 0
    quoted: _Count = 0
    found: _Count = 0
    judged: _Count = 0
    recognised: _Count = 0

    @property
    def values(self) -> int:
        """The number of values."""
        return self.taken + self.quoted + self.found + self.judged

    @property
    def judged_share(self) -> float:
        """The share of the values that a model judged."""
        return self.judged / self.values if self.values else 0.0


class TrickSummary(_Frozen):
    """What rules that do not read the question reach on the preferences of a config: trick -> share of the `answers`
    that it gets right."""

    answers: _Count
    right: Mapping[_Text, Annotated[float, Field(ge=0, le=1)]]


class Predecessor(_Frozen):
    """The release that this one succeeds without what was forgotten since; `rules` are those that it was made by."""

    version: _Version
    digest: _Sha256
    rules: _Text | None = None


class ReleaseDigests(_Frozen):
    """Content digests of a release's records by config, and of its drops with their reasons."""

    configs: Mapping[_Name, _Sha256]
    drops: _Sha256

    @property
    def whole(self) -> str:
        """The digest of the release. Nothing that depends on a machine or a moment is in it."""
        records = (part for config in sorted(self.configs) for part in (config, self.configs[config]))
        parts = (DIGEST_FORM, *records, self.drops)
        return hashlib.sha256("".join(f"{len(part.encode())}:{part}" for part in parts).encode()).hexdigest()


class ReleaseManifest(_Frozen):
    """The content of `release.json`, its members in the order in which they are written.

    Members with a default were added later, or are absent where they do not apply; a member that equals its default is
    not written. `rules` names the rules by which cases and records were made (`BUILD_VERSION`). `configs`: config ->
    split -> records. `guarded`: role -> premise, of those of which nothing leaves but by a rule of the contract;
    `egress`: role -> the receipt of what left its premise for the cases; `keys_sent`: role -> the receipts of keys of
    other roles that were sent to where its product stays. `drops`: config, or `case`, -> reason -> count.
    `conflicts`: config -> records with the question of another record and a different answer. `splits`: split -> what
    it keeps of the cases in its period, and how often that worked (`SplitBalance`). `recitation`: config -> what its
    answers say that nobody can know. `tricks`: config -> what guesses its preferences. `evidence`: config ->
    `<product>.<property>` -> how the values that its records read were taken from files. `certificate`: promise ->
    violations. `forgotten`: product -> digests of the keys whose cases were left out; `succeeds`: the release that
    still has them. `files`: path -> SHA-256 of every other file, `sizes`: path -> its bytes.
    """

    narrative: _NarrativeId
    version: _Version
    digest: _Sha256
    narrative_version: _NarrativeVersion
    fingerprint: _Sha256
    created: _Text = ""
    storymesh: _Text | None = None
    rules: _Text | None = None
    cast: Mapping[_Name, ReleasedProduct]
    guarded: Mapping[_Name, _Text] = {}
    egress: Mapping[_Name, Receipt] = {}
    keys_sent: Mapping[_Name, tuple[Receipt, ...]] = {}
    forgotten: Mapping[_Product, tuple[_Text, ...]] = {}
    succeeds: Predecessor | None = None
    evaluation: EvaluationSummary | None = None
    personal: PersonalDataSummary | None = None
    configs: Mapping[_Name, Mapping[_Split, _Count]]
    drops: Mapping[_Name, Mapping[_Text, _Count]]
    conflicts: Mapping[_Name, _Count] = {}
    splits: Mapping[_Split, Mapping[_Name, _Count]] = {}
    digests: ReleaseDigests
    retold: Mapping[_Name, RewritingSummary] = {}
    evidence: Mapping[_Name, Mapping[_Text, EvidenceSummary]] = {}
    recitation: Mapping[_Name, RecitationSummary] = {}
    tricks: Mapping[_Name, TrickSummary] = {}
    certificate: Mapping[_Text, _Count]
    files: Mapping[_RelativePath, _Sha256] | None = None
    sizes: Mapping[_RelativePath, _Count] | None = None

    @model_validator(mode="after")
    def _require_one_list(self) -> "ReleaseManifest":
        if self.files is not None and self.sizes is not None and self.files.keys() != self.sizes.keys():
            raise ValueError("files and sizes do not name the same files")
        return self

    @property
    def as_predecessor(self) -> Predecessor:
        """Return this release as its successor names it."""
        return Predecessor(version=self.version, digest=self.digest, rules=self.rules)

    @property
    def products(self) -> frozenset[str]:
        """The products of the cast."""
        return frozenset(member.product for member in self.cast.values())

    @property
    def records(self) -> int:
        """The number of records in all configs and splits."""
        return sum(sum(splits.values()) for splits in self.configs.values())


def read_manifest(folder: Path) -> ReleaseManifest:
    """Return the manifest of the release in `folder`. Raises StorymeshError when it is missing or damaged."""
    return parse_manifest(read_manifest_bytes(folder), folder / MANIFEST)


def read_manifest_bytes(folder: Path) -> bytes:
    """Return the content of `release.json` as it stands there. Raises StorymeshError when it cannot be read."""
    path = folder / MANIFEST
    try:
        return read_input(path, folder, MAX_BYTES, links=False)
    except InputFileRefused as refused:
        raise StorymeshError(f"{path} cannot be read: the file {refused.reason}", refused.hint or _HINT) from None


def parse_manifest(content: bytes, path: Path) -> ReleaseManifest:
    """Return the manifest in `content`, which was read from `path`. Raises StorymeshError when it is damaged."""
    try:
        return ReleaseManifest.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        where = printable_value(".".join(printable_value(part) for part in problem["loc"]))
        match problem["type"]:
            case "missing":
                words = f"{path} does not say its {where}"
            case _ if not where:
                words = f"{path} cannot be read: {printable_value(problem['msg'])}"
            case _:
                met = printable_value(problem["input"])
                words = f"{path} cannot be read: {where}: {printable_value(problem['msg'])}, not '{met}'"
        raise StorymeshError(words, _HINT) from None


def printable_value(value: object) -> str:
    """Return a short text for a value of a stranger: a number too long for Python and a control character as well."""
    shown = reprlib.Repr()
    shown.maxstring, shown.maxlevel = 80, 2
    try:
        text = value if isinstance(value, str) and value.isprintable() else shown.repr(value)
    except ValueError:
        text = "a number of too many digits"
    return shortened(text, 300)


def manifest_json(manifest: ReleaseManifest) -> str:
    """Return the text of `release.json`."""
    return json.dumps(manifest.model_dump(exclude_defaults=True), indent=2, ensure_ascii=False) + "\n"
