"""One narrative on fixed snapshots, and where the files made from it lie.

The folder of a build is named by everything that shapes its contents, so a file that exists is right: a run that was
killed continues where it stopped, and nothing is made twice.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.contract.definition import Contract
from storymesh.dataset.erasure_list import ErasedKeys, read_erasure_list
from storymesh.dataset.pseudonym_key import pseudonym_key
from storymesh.engine.engine import OpenEngine
from storymesh.narrative.definition import Narrative
from storymesh.narrative.typed import TypedNarrative
from storymesh.product.store import Snapshot

if TYPE_CHECKING:
    from storymesh.dataset.personal_data import PersonalDataReport
    from storymesh.federation.receipts import Receipt

BUILD_VERSION = "storymesh-build-15"  # changes whenever the same inputs would give other cases or records
# What other records the same inputs give since a version, for whoever makes an older release again.
RULE_CHANGES: Mapping[str, str] = {
    "storymesh-build-9": "a decimal is printed from its exact value, half to even",
    "storymesh-build-10": "cases that fall to `embargo` or `straddles` count as precedents, duplicates are compared by "
    "all that their templates read, and `sources` name the quotes that a record prints, not all that it could",
    "storymesh-build-11": "`sources` name the row behind the action also where a text only decides by the outcome",
    "storymesh-build-12": "pairs of a preference have the columns `score_chosen`, `score_rejected` and `margin`",
    "storymesh-build-13": "questions of an evaluation have the column `withheld`",
    "storymesh-build-14": "a model retells a story whose values are pieces, and is asked in other words than before",
    "storymesh-build-15": "a float made of a long decimal is the nearest one, and `not x` is never none",
}


def rule_changes_since(rules: str | None) -> list[str]:
    """Return what has changed since these rules, named by the `BUILD_VERSION` of their time; None for rules without a
    name."""
    versions = list(RULE_CHANGES)
    return [RULE_CHANGES[name] for name in versions[versions.index(rules) + 1 if rules in versions else 0 :]]


ProductVersions = Mapping[str, tuple[str, str]]  # role -> (product, version)


@dataclass(frozen=True)
class BuildFiles:
    """Where the files of one build lie. `rewritten` are the configs whose records a language model rewrites."""

    folder: Path
    rewritten: frozenset[str]

    @property
    def cases(self) -> Path:
        return self.folder / "cases.parquet"

    @property
    def splits(self) -> Path:
        return self.folder / "splits.parquet"

    @property
    def precedents(self) -> Path:
        return self.folder / "precedents.parquet"

    @property
    def personal_data(self) -> Path:
        """A folder with the rows of each role whose free text held personal data, without it."""
        return self.folder / "personal"

    def records(self, config: str) -> Path:
        return self.folder / "records" / f"{config}.parquet"

    def record_drops(self, config: str) -> Path:
        return self.folder / "records" / f"{config}.drops.parquet"

    def rendered(self, config: str) -> Path:
        """The records as their templates render them; where a model rewrites them, with the messages to it."""
        return self.folder / self._rendered_folder(config) / f"{config}.parquet"

    def rendered_drops(self, config: str) -> Path:
        return self.folder / self._rendered_folder(config) / f"{config}.drops.parquet"

    def answers(self, config: str) -> Path:
        """The answers that a config was rewritten with, each with its question."""
        return self.folder / "told" / f"{config}.answers.parquet"

    def _rendered_folder(self, config: str) -> str:
        return "told" if config in self.rewritten else "records"


@dataclass(frozen=True)
class Build:
    """A typed narrative on one snapshot for each role of its cast; `key` is a digest of all that shapes its files."""

    typed: TypedNarrative
    snapshots: Mapping[str, Snapshot]
    store: Path
    releases: Path
    open_engine: OpenEngine = field(repr=False)
    erased: ErasedKeys | None = None
    """The erased keys of a release that is built again. None: those of the mesh's erasure list."""
    evaluation: Mapping[str, Path] | Path = field(default_factory=dict)
    """The files of the evaluation set by their path in the mesh; or what a release that is built again keeps of it."""
    own_key: bytes | None = field(default=None, repr=False)
    """The key of the pseudonyms of a build that is no mesh's, such as a scenario's."""
    guarded: Mapping[str, str] = field(default_factory=dict)
    """Role -> premise, of those of which nothing leaves but by a rule of the contract."""
    open_cluster: OpenEngine | None = field(default=None, repr=False)
    """The engine that makes cases, precedents and records where `open_engine` does not. No file depends on it."""

    @property
    def narrative(self) -> Narrative:
        return self.typed.narrative

    @property
    def contracts(self) -> Mapping[str, Contract]:
        return self.typed.contracts

    @property
    def fingerprint(self) -> str:
        return self.typed.fingerprint

    @property
    def configs(self) -> tuple[str, ...]:
        return tuple(self.typed.records)

    @property
    def product_versions(self) -> ProductVersions:
        return {role: (snapshot.product, snapshot.version) for role, snapshot in self.snapshots.items()}

    @cached_property
    def pseudonym_key(self) -> bytes:
        return pseudonym_key(self.store) if self.own_key is None else self.own_key

    @cached_property
    def erased_keys(self) -> ErasedKeys:
        """The erased keys of the products in the cast, as digests: no case with such a row is kept."""
        if self.erased is not None:
            return self.erased
        erasures = read_erasure_list(self.store)
        return erasures.of_products({snapshot.product for snapshot in self.snapshots.values()}) if erasures else {}

    @cached_property
    def key(self) -> str:
        from storymesh.dataset.personal_data_finder import DETECTION_VERSION

        shaping = {
            "form": BUILD_VERSION,
            "narrative": self.fingerprint,
            "cast": {role: [snapshot.product, snapshot.version] for role, snapshot in sorted(self.snapshots.items())},
            "contracts": {role: contract.digest for role, contract in sorted(self.contracts.items())},
            "pseudonyms": hashlib.sha256(b"storymesh|" + self.pseudonym_key).hexdigest(),
            **({"left": left} if (left := self._forms) else {}),
            **({"forgotten": self.erased_keys} if self.erased_keys else {}),
            **({"personal": DETECTION_VERSION} if self.narrative.dataset.personal != "off" else {}),
        }
        return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()[:24]

    @property
    def receipts(self) -> "dict[str, Receipt]":
        """Role -> the receipt of what left another premise."""
        found = {role: snapshot.receipt for role, snapshot in self.snapshots.items()}
        return {role: receipt for role, receipt in found.items() if receipt is not None}

    @property
    def keys_sent(self) -> "dict[str, tuple[Receipt, ...]]":
        """Role -> the receipts of keys of other roles that were sent to where its product stays."""
        return {role: snapshot.keys_sent for role, snapshot in self.snapshots.items() if snapshot.keys_sent}

    @property
    def _forms(self) -> dict[str, dict[str, str]]:
        """Role -> column -> form, of the roles whose rows left another premise."""
        left = {role: snapshot.forms for role, snapshot in sorted(self.snapshots.items())}
        return {role: dict(sorted(forms.items())) for role, forms in left.items() if forms is not None}

    @cached_property
    def files(self) -> BuildFiles:
        rewritten = frozenset(config for config, record in self.typed.records.items() if record.rewritten)
        return BuildFiles(self.store / "narratives" / self.narrative.name / self.key, rewritten)

    @property
    def personal_data(self) -> "PersonalDataReport":
        """What the free text held, once the cases are written."""
        from storymesh.dataset.personal_data import read_personal_data_report

        return read_personal_data_report(self.files.personal_data)
