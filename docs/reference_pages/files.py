"""The parts of docs/reference/files.md: the fields of `*.files.yaml`, and what the reader of each kind gives."""

from collections.abc import Mapping

from pydantic import BaseModel

from reference_pages.fields import field_table
from reference_pages.markdown import code, table
from storymesh.files import definition
from storymesh.files.reading.reading import KINDS, LASTING
from storymesh.files.typed import FILE_FIELDS
from storymesh.language.types import Array, Field, Struct

# Heading -> the model of its fields, a sentence before them, and what each field means.
SECTIONS: Mapping[str, tuple[type[BaseModel], str, Mapping[str, str]]] = {
    "*.files.yaml": (
        definition.FilesFile,
        "It stands in the domain's `sources/`, and the product's `source` names it.",
        {
            "apiVersion": "`storymesh/v1`",
            "kind": "`Files`",
            "from": "where the files are, and as what they are read: see below",
            "limits": "the bounds of one file: see below",
            "take": "a property of the contract -> an expression over what the reader gives: see below",
            "where": "a condition: of which files there are rows. Others are left out",
            "shards": "in how many parts Dagster reads the files, each a partition: 2 to 64. Without it, in one",
            "extract": "what a model is asked of each file: the properties that `take` does not give",
        },
    ),
    "from": (
        definition.FilesOrigin,
        "One place: `files`, or a `product` with `url` or `text`.",
        {
            "files": (
                "a pattern below the domain's folder, or `s3://bucket/…`; several of one place as a list. `*` and `?` "
                "are within one name, `**` is any number of folders; names that begin with a dot are not meant"
            ),
            "product": "a product of the mesh that is an input port of this one; its row is `row` in expressions",
            "url": "its property that has addresses of http or https",
            "text": "its property that has texts",
            "read": "mail, text, html, pdf, office, image or audio; the content decides whether a file is one",
            "reader": "`ocr: true` of pdf and image; `model`, a folder, and `language` of audio",
            "attachments": "kinds of files inside a file that are read as well: `attachments` in expressions",
        },
    ),
    "limits": (
        definition.ReadingLimits,
        "A size is a number of bytes, or has a unit: `25MB`, `2GiB`.",
        {
            "bytes": "of one file; a larger one is refused",
            "seconds": "that reading it may take",
            "memory": "that reading it may take, beside that of the reader itself",
            "gone": "the share of the known files that may be missing at once, before it is taken for a mishap",
        },
    ),
}


def page() -> dict[str, str]:
    """Return the parts of the page by name."""
    parts = []
    for title, (model, words, meanings) in SECTIONS.items():
        heading = title if title.endswith(".yaml") else f"`{title}`"
        parts.append(f"## {heading}\n\n{words}\n\n{field_table(model, meanings, title)}")
    kinds = [(code(kind), "; ".join(map(_written, fields.items()))) for kind, fields in KINDS.items()]
    every = {"file": Field(Struct(FILE_FIELDS))}
    return {
        "fields": "\n\n".join(parts),
        "kinds": table(["read", "names"], [("every kind", "; ".join(map(_written, every.items()))), *kinds]),
        "lasting": ", ".join(map(code, sorted(LASTING))),
    }


def _written(item: tuple[str, Field]) -> str:
    """Return a name with the names and types below it."""
    name, field = item
    match field.type:
        case Struct(fields):
            return ", ".join(f"`{name}.{below}`" for below in fields)
        case Array(Field(type=Struct(fields))):
            return f"`{name}`, a list of {', '.join(map(code, fields))}"
        case _:
            return f"`{name}`"
