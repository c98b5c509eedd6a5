"""`*.files.yaml`: which files a product is made of, what is read in them, and what of it becomes a row."""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from storymesh.document import Definition, Document, ExpressionText, OneOrMore, read_document
from storymesh.errors import Finding, suggest_name
from storymesh.files.reading.reading import FileLimits, Kind
from storymesh.input_file import InputFileRefused, read_input
from storymesh.llm.asked_model import AskedModel

MAX_SHARDS = 64
MAX_PROMPT = 256 * 1024
BUCKETS = ("s3",)
_SIZE = re.compile(r"(?P<number>[0-9]{1,15})\s?(?P<unit>B|kB|KB|MB|GB|KiB|MiB|GiB)?")
_UNITS = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_PRODUCT = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\.[A-Za-z_][A-Za-z0-9_-]*")


def _size(value: Any) -> Any:
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if isinstance(value, str) and match is None:
        raise ValueError(f"{value[:60]!r} is no size: write bytes, or a number with its unit as in 25MB or 2GiB")
    return int(match["number"]) * _UNITS[match["unit"] or "B"] if match else value


def _check_pattern(value: str) -> str:
    """Refuse a pattern for an absolute path, another domain's folder, or an unknown kind of storage."""
    scheme = urlsplit(value.replace("${", "").replace("}", "")).scheme
    if "://" in value:
        if scheme not in BUCKETS:
            raise ValueError(f"'{value}' is at no place that files are read from: a path, or s3://bucket/…")
        if "@" in value.partition("://")[2].partition("/")[0]:
            raise ValueError("a key stands in this address; keys stand in the environment: AWS_ACCESS_KEY_ID")
        return value
    outside = posixpath.normpath(value.replace("\\", "/")).startswith("..")
    absolute = PurePosixPath(value).is_absolute() or bool(PureWindowsPath(value).drive) or value.startswith("~")
    if outside or absolute or "\0" in value or ".." in value.split("/"):
        raise ValueError(f"'{value}': a path is relative to the domain's folder, and stays in it")
    return value


def _place_of(pattern: str) -> str:
    """Return the bucket of a pattern; nothing for one of the domain's folder."""
    return "/".join(pattern.split("/")[:3]) if "://" in pattern else ""


def _check_product(value: str) -> str:
    if not _PRODUCT.fullmatch(value):
        raise ValueError(f"'{value}' is no product: <domain>.<product>")
    return value


ByteSize = Annotated[int, Field(gt=0, le=2**46), BeforeValidator(_size, json_schema_input_type=int | str)]
FilePatternText = Annotated[str, Field(min_length=1), AfterValidator(_check_pattern)]


PromptName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\.jinja$", max_length=200)]


class ReaderOptions(Definition):
    """Options of a reader. `model` may name variables of the environment: `${NAME}`."""

    ocr: bool | None = None
    model: Annotated[str, Field(min_length=1)] | None = None
    language: Annotated[str, Field(min_length=2, max_length=8)] | None = None


class FilesOrigin(Definition):
    """Where the files are: below a path or an address, at the URLs in a column of a product, or each a text there.

    `read` says as what each is read; the content decides whether it is one, never the ending. `reader` has options of
    that reader: `ocr` of pdf and image, `model` (a folder) and `language` of audio. `attachments` are the kinds of
    files inside a file that are read as well.
    """

    files: (
        Annotated[
            tuple[FilePatternText, ...],
            Field(min_length=1),
            OneOrMore,
        ]
        | None
    ) = None
    product: Annotated[str, AfterValidator(_check_product)] | None = None
    url: str | None = None
    text: str | None = None
    read: Kind | None = None
    reader: ReaderOptions = ReaderOptions()
    attachments: tuple[Kind, ...] = ()

    @model_validator(mode="after")
    def _check_one_place(self) -> Self:
        if (self.files is None) == (self.product is None):
            raise ValueError("files come from one place: `files: <pattern>`, or `product:` with `url:` or `text:`")
        if self.files is not None and (self.url is not None or self.text is not None):
            raise ValueError("`url` and `text` name a column of a `product`, and `files` has none")
        if self.product is not None and (self.url is None) == (self.text is None):
            raise ValueError("of a product one column is read: `url: <property>` or `text: <property>`")
        if self.text is not None and self.read not in (None, "text", "html"):
            raise ValueError(f"a text of a product is read as text or html, not as {self.read}")
        if self.files is not None and len({_place_of(pattern) for pattern in self.files}) > 1:
            raise ValueError("the patterns of `files` are of one place: the domain's folder, or one bucket")
        if self.read is None and self.text is None:
            raise ValueError("`read` is missing: mail, text, html, pdf, office, image or audio")
        return self

    @property
    def kind(self) -> Kind:
        """As what each file is read."""
        return self.read or "text"


class ReadingLimits(Definition):
    """The bounds of one file, and the share of the known files that may be gone at once."""

    bytes: ByteSize = 25 * 10**6
    seconds: Annotated[float, Field(gt=0, le=3600)] = 20.0
    memory: ByteSize = 2 * 10**9
    gone: Annotated[float, Field(ge=0, le=1)] = 0.2

    @property
    def of_file(self) -> FileLimits:
        """The bounds that a reader keeps."""
        return FileLimits(self.bytes, self.seconds, self.memory)


class Extraction(AskedModel):
    """What a model is asked of each file: the properties that `take` does not give."""

    prompt: PromptName
    rows: Literal["one", "many"] = "one"
    attempts: int = Field(default=2, ge=1, le=20)
    evidence: Mapping[str, Literal["said", "judged"]] = Field(default_factory=dict)


class FilesFile(Definition):
    """The content of a `*.files.yaml`. `take` maps properties of the contract to expressions over what a reader gives;
    `where` says of which files there are rows. In Dagster the files are read in so many `shards`, each a partition."""

    api_version: Annotated[Literal["storymesh/v1"], Field(alias="apiVersion")]
    kind: Literal["Files"]
    origin: Annotated[FilesOrigin, Field(alias="from")]
    limits: ReadingLimits = ReadingLimits()
    take: Mapping[str, ExpressionText] = Field(default_factory=dict)
    where: ExpressionText | None = None
    extract: Extraction | None = None
    shards: Annotated[int, Field(ge=2, le=MAX_SHARDS)] | None = None


@dataclass(frozen=True)
class FilesSource:
    """A `*.files.yaml` as it was read, with the places of what stands in it, and the text of its prompt."""

    file: FilesFile
    document: Document = field(repr=False, compare=False)
    prompt: str = field(default="", repr=False)
    findings: tuple[Finding, ...] = field(default=(), compare=False)
    """What is wrong with the file of the prompt."""


def read_files_source(path: Path, root: Path) -> FilesSource:
    """Return the definition in the file `path` of the mesh `root`. Raises DefinitionErrors."""
    document = read_document(path, root)
    file = document.parse(FilesFile)
    if file.extract is None:
        return FilesSource(file, document)
    prompt = _read_prompt(path.parent / file.extract.prompt, root, document)
    return FilesSource(file, document, *(("", (prompt,)) if isinstance(prompt, Finding) else (prompt,)))


def _read_prompt(path: Path, root: Path, document: Document) -> str | Finding:
    """Return the text of a prompt, or why there is none beside the file."""
    at = ("extract", "prompt")
    try:
        return read_input(path, root, MAX_PROMPT).decode("utf-8-sig")
    except UnicodeDecodeError:
        return document.finding(at, "encoding", f"'{path.name}' is no UTF-8")
    except InputFileRefused as refused:
        near = suggest_name(path.name, [found.name for found in path.parent.glob("*.jinja")])
        words = f"the prompt '{path.name}' cannot be read beside this file: {refused.reason}"
        return document.finding(at, "no-file", words, near)
