"""The manifest of a release, `release.json`: what it was made from, what it holds, and the digests that prove it.

With the manifest and the products of its cast the same release can be made again. A release may come from strangers:
every name and path in the manifest is checked when it is read, before anything uses it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, NonNegativeInt, StringConstraints, ValidationError

from storymesh.case.definition import NAME
from storymesh.errors import StorymeshError
from storymesh.narrative.definition import ID
from storymesh.release.layout import MANIFEST, RELEASE_FOLDER

CASE = "case"  # stands in `drops` for the cases themselves, beside the configs
DIGEST_FORM = "storymesh-release-1"


def _require_relative(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or "\\" in path or ".." in parts or PurePosixPath(path).as_posix() != path:
        raise ValueError("not a path inside the release")
    return path


_NarrativeId = Annotated[str, StringConstraints(pattern=ID.pattern)]
_Version = Annotated[str, StringConstraints(pattern=f"^{RELEASE_FOLDER.pattern}$")]
_Name = Annotated[str, StringConstraints(pattern=NAME.pattern)]
_Split = Annotated[str, StringConstraints(pattern="^[a-z]+$")]
_Product = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")]
_Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
_RelativePath = Annotated[str, AfterValidator(_require_relative)]

Counts = Mapping[str, Mapping[str, int]]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class ReleasedProduct(_Frozen):
    """The snapshot of a product that a role was read from; `rows` is its number of rows."""

    product: _Product
    contract_version: str
    contract_digest: str
    product_version: str
    snapshot: int | None = None
    rows: NonNegativeInt


class EvaluationSummary(_Frozen):
    """The evaluation set that records were checked against: `files` by their SHA-256, its `items`, how many of them are
    `too_short` to be recognised, and the count and digest of its hashed word `runs`."""

    files: Mapping[str, str]
    items: NonNegativeInt
    too_short: NonNegativeInt
    runs: NonNegativeInt
    digest: str


class PersonalDataSummary(_Frozen):
    """What the free text held: `<role>.<property>` -> kind of personal data -> distinct values that contain it."""

    mode: str
    values: Mapping[str, Mapping[str, NonNegativeInt]]


class RewritingSummary(_Frozen):
    """How many texts of a config a model was asked to rewrite, how many it did, and after how many attempts."""

    model: str
    texts: NonNegativeInt
    retold: NonNegativeInt
    attempts: Mapping[str, NonNegativeInt]


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
    not written. `configs`: config -> split -> records. `drops`: config, or `case`, -> reason -> count. `conflicts`:
    config -> records with the question of another record and a different answer. `certificate`: promise -> violations.
    `forgotten`: product -> digests of the keys whose cases were left out. `files`: path -> SHA-256 of every other file.
    """

    narrative: _NarrativeId
    version: _Version
    digest: _Sha256
    narrative_version: str
    fingerprint: str
    created: str = ""
    storymesh: str | None = None
    cast: Mapping[_Name, ReleasedProduct]
    forgotten: Mapping[_Product, tuple[str, ...]] = {}
    evaluation: EvaluationSummary | None = None
    personal: PersonalDataSummary | None = None
    configs: Mapping[_Name, Mapping[_Split, NonNegativeInt]]
    drops: Mapping[_Name, Mapping[str, NonNegativeInt]]
    conflicts: Mapping[_Name, NonNegativeInt] = {}
    digests: ReleaseDigests
    retold: Mapping[_Name, RewritingSummary] = {}
    certificate: Mapping[str, NonNegativeInt]
    files: Mapping[_RelativePath, _Sha256] | None = None

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
    path, hint = folder / MANIFEST, "cut the release again, or remove its folder"
    try:
        return ReleaseManifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StorymeshError(f"{path} cannot be read: {error}", hint) from None
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        match problem["type"]:
            case "missing":
                words = f"{path} does not say its {where}"
            case _ if not where:
                words = f"{path} cannot be read: {problem['msg']}"
            case _:
                words = f"{path} cannot be read: {where}: {problem['msg']}, not {str(problem['input'])[:80]!r}"
        raise StorymeshError(words, hint) from None


def manifest_json(manifest: ReleaseManifest) -> str:
    """Return the text of `release.json`."""
    return json.dumps(manifest.model_dump(exclude_defaults=True), indent=2, ensure_ascii=False) + "\n"
