"""A narrative as its author writes it: `narrative.yaml`, read strictly and frozen. It is typed in `typed`."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model, field_validator, model_validator

from storymesh.case.definition import QUOTED_FIELDS, Case, Name, pattern_check
from storymesh.contract.egress_rules import PURPOSE
from storymesh.document import Definition, Document, ExpressionText, read_document
from storymesh.errors import DefinitionErrors, Finding
from storymesh.language.locale_formats import ENGLISH, UnknownLanguage, locale_formats
from storymesh.location import Location
from storymesh.narrative.evaluation_definition import EVALUATION_CONFIG, Evaluation, steps_in_file
from storymesh.narrative.formats import AUTHORED, FORMATS, template_slots
from storymesh.narrative.formats.evaluation import EVALUATION
from storymesh.narrative.formats.format import RecordFormat
from storymesh.narrative.narrator_definition import Narrator
from storymesh.narrative.split_definition import Split
from storymesh.narrative.template_files import VARIANTS_FOLDER, Template, read_templates
from storymesh.narrative.tool_definition import Tool

WORD = re.compile(r"^[^\W\d_]+(['’][^\W\d_]+)*$")
ID = re.compile(r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")
VERSION = re.compile(r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}$")
REGION = re.compile(r"^[A-Z]{2}$")
PURPOSE_NAME = re.compile(PURPOSE)
PRODUCT = re.compile(r"^(?P<product>[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*)@(?P<major>[0-9]{1,9})$")

_HEAD = ("id", "version", "title", "description", "owner", "license")
MANY = 10**9
MAX_RECORDS = 200

# Names that mean something in every template; a role or a fact of this name would hide them.
RESERVED = frozenset({"case", "outcome", "precedents", "option", "loop", "true", "false", "none", "choose"})

if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = Literal[tuple(FORMATS)]


class LengthLimits(Definition):
    """Bounds, both inclusive, of the characters that are read at once in a record: of a preference its prompt with the
    longer of its two answers."""

    min: int | None = Field(default=None, ge=0, le=MANY)
    max: int | None = Field(default=None, ge=0, le=MANY)

    @model_validator(mode="after")
    def _ordered(self) -> "LengthLimits":
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"`min` is {self.min} and `max` {self.max}: no record is both")
        return self


class NearDuplicates(Definition):
    """The similarity from which two texts are one: the share of runs of `shingle` words that both have (Jaccard)."""

    similarity: float = Field(default=0.8, ge=0.5, le=1)
    shingle: int = Field(default=5, ge=1, le=100)


class _RecordOrigin(Definition):
    """What a record is made from: templates of a format, or another record and a narrator."""

    format: FormatName | None = None
    from_: Name | None = Field(default=None, alias="from")
    narrator: Narrator | None = None


if TYPE_CHECKING:
    _RecordTemplates = _RecordOrigin
else:
    # One optional field for each template slot of the formats.
    _RecordTemplates = create_model(
        "_RecordTemplates", __base__=_RecordOrigin, **dict.fromkeys(template_slots(), (Template | None, None))
    )


def check_language(code: str) -> str:
    """Return the tag of a language. Raises ValueError for what is none, and for one that is not printed here."""
    try:
        locale_formats(code)
    except UnknownLanguage as error:
        raise ValueError(str(error)) from None
    return code


class Record(_RecordTemplates):
    """One config of the dataset. It tells the cases for which `where` holds, all that it can without. With `variants`,
    each case draws one of a template and those of its folder of variants. Its `length` and `near_duplicates` stand in
    for the dataset's. Of its pairs at most the share `action_cap` has one action chosen, and as many one action
    rejected. Where its format calls a tool, `tool` declares it. Its texts are written in `language`; one that is
    retold, in that of the record that it retells."""

    where: ExpressionText | None = None
    language: str = ENGLISH
    variants: bool = False
    length: LengthLimits | None = None
    near_duplicates: NearDuplicates | None = None
    action_cap: float | None = Field(default=None, gt=0, le=1)
    chat: bool | None = None
    tool: Tool | None = None

    @field_validator("language")
    @classmethod
    def _known_language(cls, code: str) -> str:
        return check_language(code)

    @model_validator(mode="after")
    def _pairs(self) -> "Record":
        if self.action_cap is not None and (self.format is None or not FORMATS[self.format].needs_pair):
            paired = " or ".join(name for name, item in FORMATS.items() if item.needs_pair)
            raise ValueError(f"`action_cap` is a share of pairs; give it to a record of the format {paired}")
        return self

    @model_validator(mode="after")
    def _slots(self) -> "Record":
        if (self.from_ is None) != (self.narrator is None):
            raise ValueError("a retold record has both `from` and `narrator`")
        if self.from_ is not None:
            own = self.format, self.chat, self.tool
            if own != (None, None, None) or self.templates or self.variants or self.language != ENGLISH:
                raise ValueError(
                    "a retold record takes its format, templates, variants and language from the record that it retells"
                )
            return self
        if self.format is None:
            raise ValueError(f"a record needs a `format`: one of {', '.join(AUTHORED)}")
        slots = {slot.name: slot for slot in FORMATS[self.format].slots}
        given = self.templates.keys()
        if missing := sorted(name for name, slot in slots.items() if slot.required and name not in given):
            raise ValueError(f"format {self.format} needs a template for {' and '.join(missing)}")
        if extra := sorted(given - slots.keys()):
            raise ValueError(f"format {self.format} has no {' or '.join(extra)}")
        if fault := FORMATS[self.format].fault(given):
            raise ValueError(fault)
        if FORMATS[self.format].calls_tool != (self.tool is not None):
            calling = " or ".join(name for name, item in FORMATS.items() if item.calls_tool)
            raise ValueError(f"format {calling} needs a `tool`, and no other has one")
        if self.chat is not None and not FORMATS[self.format].may_chat:
            able = ", ".join(name for name, item in FORMATS.items() if item.may_chat)
            raise ValueError(f"format {self.format} is not written as messages or not; `chat` is for {able}")
        if self.chat is False and FORMATS[self.format].may_chat and "system" in given:
            raise ValueError("`system` is a message, and `chat: false` writes none; leave out one of the two")
        return self

    @property
    def format_written(self) -> RecordFormat:
        """The format with the form of its columns: messages, if `chat` says so or there is a system message."""
        assert self.format is not None
        has_system = getattr(self, "system", None) is not None
        return FORMATS[self.format].as_chat(has_system if self.chat is None else self.chat)

    @property
    def templates(self) -> Mapping[str, str]:
        """The file names of its templates by slot, in the order of the slots."""
        named = {slot: getattr(self, slot) for slot in template_slots()}
        return {slot: name for slot, name in named.items() if name is not None}


class Decontaminate(Definition):
    """An evaluation set that records must not repeat: patterns of files, and how many words in a row repeat it."""

    against: tuple[str, ...] = Field(min_length=1)
    ngram: int = Field(default=13, ge=3, le=200)


class Dataset(Definition):
    """How records become a dataset: splits, curation, personal data and the size of its files."""

    split: Split | None = None
    dedup: Literal["facts", "none"] = "none"
    length: LengthLimits | None = None
    near_duplicates: NearDuplicates | None = None
    decontaminate: Decontaminate | None = None
    personal: Literal["mask", "refuse", "off"] = "mask"
    phone_regions: tuple[Annotated[str, pattern_check(REGION, "a country such as DE or US")], ...] = ()
    pseudonymise: tuple[str, ...] = ()
    shard_rows: int = Field(default=200_000, ge=1, le=MANY)


class NarrativeFile(Definition):
    """The fields of `narrative.yaml`. `purpose` is what contracts call the use that is made of their values;
    `vocabulary` are words that a retold record may have beside its story's."""

    api_version: Literal["storymesh/v1"] = Field(alias="apiVersion")
    kind: Literal["Narrative"]
    id: Annotated[str, pattern_check(ID, "an id: small letters, digits and single hyphens")]
    version: Annotated[str, pattern_check(VERSION, "a version such as 1.0.0")]
    title: str
    description: str = ""
    owner: str
    license: str
    purpose: Annotated[str, pattern_check(PURPOSE_NAME, "a purpose: small letters, digits, - and _")] | None = None
    cast: Mapping[
        Name, Annotated[str, pattern_check(PRODUCT, "a product at a major version, such as shipping.shipments@1")]
    ]
    case: Case
    records: Mapping[Name, Record] = Field(min_length=1, max_length=MAX_RECORDS)
    dataset: Dataset = Field(default_factory=Dataset)
    vocabulary: tuple[Annotated[str, pattern_check(WORD, "a word")], ...] = ()
    evaluation: Evaluation | None = None
    labels: Mapping[str, Mapping[str, Mapping[str, str]]] = Field(default_factory=dict)

    @field_validator("labels")
    @classmethod
    def _known_languages(cls, labels: Mapping[str, object]) -> Mapping[str, object]:
        for code in labels:
            check_language(code)
        return labels

    @model_validator(mode="after")
    def _evaluation(self) -> "NarrativeFile":
        if named := [name for name, record in self.records.items() if record.format == EVALUATION.name]:
            raise ValueError(f"'{named[0]}' has the format {EVALUATION.name}, which is written as `evaluation:`")
        if self.evaluation is not None and EVALUATION_CONFIG in self.records:
            raise ValueError(f"`evaluation:` makes the config '{EVALUATION_CONFIG}'; name the record otherwise")
        return self

    @property
    def configs(self) -> Mapping[str, Record]:
        """The records, and after them that of the evaluation, if there is one."""
        if self.evaluation is None:
            return self.records
        record = Record.model_validate({"format": EVALUATION.name, **self.evaluation.templates})
        return {**self.records, EVALUATION_CONFIG: record}


class CastMember(Definition):
    """A role of the cast: the product `<domain>.<product>` at a major version of its contract."""

    role: str
    product: str
    major: int

    @property
    def kept_as(self) -> str:
        """The product under whose id a major version is kept beside a later one."""
        return f"{self.product}_v{self.major}"


class Narrative(Definition):
    """A narrative as read. `folder` is relative to the mesh root, `templates`: path in the folder -> text."""

    id: str
    version: str
    title: str
    description: str
    owner: str
    license: str
    purpose: str | None = None
    cast: Mapping[str, CastMember]
    case: Case
    records: Mapping[str, Record]
    dataset: Dataset
    vocabulary: tuple[str, ...]
    evaluation: Evaluation | None = None
    labels: Mapping[str, Mapping[str, Mapping[str, str]]]
    folder: str
    templates: Mapping[str, str]
    document: Any = Field(repr=False, exclude=True)

    @property
    def name(self) -> str:
        """The id as a Python and SQL name, which is also the folder's name and part of the asset keys."""
        return self.id.replace("-", "_")

    @property
    def fingerprint(self) -> str:
        """A digest of what shapes its records in its own files: definition and templates, not their layout on disk."""
        shaping = {"definition": self.document.value, "templates": dict(sorted(self.templates.items()))}
        return hashlib.sha256(json.dumps(shaping, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def with_products(self, products: Mapping[str, str]) -> "Narrative":
        """Return the narrative with the product that each of these roles means."""
        members = {
            role: member.model_copy(update={"product": products.get(role, member.product)})
            for role, member in self.cast.items()
        }
        return self.model_copy(update={"cast": members})

    def format_of(self, config: str) -> RecordFormat:
        """Return the format of a config; a rewritten one has that of the record that it rewrites."""
        return self._original(config).format_written

    def language_of(self, config: str) -> str:
        """Return the language of a config; a rewritten one has that of the record that it rewrites."""
        return self._original(config).language

    def _original(self, config: str) -> Record:
        record = self.records[config]
        while record.format is None and record.from_ is not None:
            record = self.records[record.from_]
        return record

    def variants_folder(self, config: str, slot: str) -> str:
        """Return the folder of the variants of one template of a config, in that of the narrative: the config's own,
        where its format has one template."""
        several = len(self.format_of(config).slots) > 1
        return f"{VARIANTS_FOLDER}/{config}/{slot}" if several else f"{VARIANTS_FOLDER}/{config}"

    def variants_of(self, config: str, slot: str) -> tuple[str, ...]:
        """Return the names of the variants of one template of a config, in order."""
        folder = self.variants_folder(config, slot)
        return tuple(name for name in self.templates if name.rpartition("/")[0] == folder)

    @property
    def drawn_wordings(self) -> tuple[tuple[str, str, int], ...]:
        """Config, template and how many wordings cases draw from, itself and its variants, where there are several."""
        return tuple(
            (config, template, 1 + count)
            for config, record in self.records.items()
            if record.variants
            for slot, template in record.templates.items()
            if (count := len(self.variants_of(config, slot)))
        )

    def at(self, *steps: str | int) -> Location:
        """Return where the value under `steps` stands in the file."""
        document: Document = self.document
        return document.at(*(steps if self.evaluation is None else steps_in_file(steps)))


def read_narrative(path: Path, root: Path) -> Narrative:
    """Read `narrative.yaml` and the templates beside it. Raises DefinitionErrors with what the files alone show."""
    document = read_document(path, root)
    file = document.parse(NarrativeFile)
    findings: list[Finding] = []
    folder = path.parent
    if folder.name != file.id.replace("-", "_"):
        message = f"the narrative '{file.id}' lies in the folder '{folder.name}'"
        findings.append(
            document.finding(["id"], "wrong-place", message, f"call the folder {file.id.replace('-', '_')}")
        )
    for role in file.cast:
        if role in RESERVED:
            findings.append(
                Finding(document.key_at("cast", role), "reserved-name", f"'{role}' has a meaning of its own")
            )
    for fact in file.case.facts:
        if fact in RESERVED or fact in file.cast:
            message = f"'{fact}' already means something in templates"
            findings.append(
                Finding(document.key_at("case", "facts", fact), "reserved-name", message, "name the fact otherwise")
            )
        elif fact in QUOTED_FIELDS and file.case.precedents is not None:
            message = f"'{fact}' is what a case that precedents quote has of its own, so its fact would hide that"
            findings.append(
                Finding(document.key_at("case", "facts", fact), "reserved-name", message, "name the fact otherwise")
            )
    templates = read_templates(folder, root, findings)
    if findings:
        raise DefinitionErrors(findings)
    cast = {}
    for role, product in file.cast.items():
        match = PRODUCT.match(product)
        assert match is not None
        cast[role] = CastMember(role=role, product=match["product"], major=int(match["major"]))
    return Narrative(
        **{name: getattr(file, name) for name in (*_HEAD, "purpose")},
        cast=cast,
        case=file.case,
        records=file.configs,
        dataset=file.dataset,
        vocabulary=file.vocabulary,
        evaluation=file.evaluation,
        labels=file.labels,
        folder=Path(document.path).parent.as_posix(),
        templates=templates,
        document=document,
    )
