"""Every field of the standard's contract, and what becomes of it here: a field that is not in this list is an error."""

from typing import Any

from reference_pages.markdown import code, explained, table
from storymesh.standards.odcs import odcs_schema

_PEOPLE = "kept for people"
CONTRACT = {
    "version": "its first number is the major version that a narrative asks for",
    "kind": "`DataContract`",
    "apiVersion": "any that the standard's schema lists; all are read by the rules of 3.2",
    "id": "`<domain>.<product>`, and the place of the file",
    "name": "the title",
    "tenant": _PEOPLE,
    "tags": "tags of the product's asset in Dagster",
    "status": _PEOPLE,
    "servers": "where rows are that a product's `source` reads from one. [How to](../how-to/read-from-a-server.md)",
    "dataProduct": _PEOPLE,
    "description": "`purpose` is the description where the schema object has none; Dagster shows `limitations`",
    "domain": f"{_PEOPLE}: the domain is that of the id",
    "context": _PEOPLE,
    "schema": "one schema object, or those of several products: see below",
    "support": _PEOPLE,
    "price": _PEOPLE,
    "team": "the member with role `owner` owns the product; also as the plain list of 3.0",
    "roles": f"{_PEOPLE}: nobody gets access by them",
    "slaDefaultElement": "what a promise of freshness is about that names no `element`",
    "slaProperties": "each `freshness` (or `latency`, `ly`) warns when the newest row is too old; others: for people",
    "authoritativeDefinitions": _PEOPLE,
    "customProperties": "see above; others are kept",
    "contractCreatedTs": _PEOPLE,
}
OBJECT = {
    "id": "what relationships may call it",
    "name": "the product's name",
    "physicalType": _PEOPLE,
    "description": "the description of the product",
    "businessName": "the title where the contract has no name",
    "deprecated": _PEOPLE,
    "synonyms": _PEOPLE,
    "authoritativeDefinitions": _PEOPLE,
    "tags": _PEOPLE,
    "customProperties": "see above; others are kept",
    "logicalType": "`object`",
    "physicalName": "what `slaProperties` may call it, and the table of a server where `source` names none",
    "dataGranularityDescription": _PEOPLE,
    "properties": "the columns; without any there is nothing to publish, which is a finding",
    "relationships": "as on a property; of several columns too",
    "quality": "see below",
    "context": _PEOPLE,
}
PROPERTY = {
    "id": "what relationships may call it",
    "name": "the column of the published table",
    "physicalType": "says what the numbers of a `number` are: see below. Of other types it changes nothing",
    "description": "shown in Dagster",
    "businessName": "shown in Dagster",
    "deprecated": _PEOPLE,
    "synonyms": _PEOPLE,
    "authoritativeDefinitions": _PEOPLE,
    "tags": _PEOPLE,
    "customProperties": "see above; others are kept",
    "primaryKey": "part of the key of a row. A product without a key is published, but no narrative can cast it",
    "primaryKeyPosition": "the order of the key; what has none comes after, in the order of the file",
    "logicalType": "the type, see below",
    "logicalTypeOptions": (
        "`minLength`, `maxLength`, `pattern`, `format`, `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, "
        "`multipleOf`, `minItems`, `maxItems`, `uniqueItems`, `dimensions` are audited. What is not is a warning: "
        "`defaultTimezone` and `format` of moments, `minProperties`, `maxProperties` and `required` of objects, "
        "`normalized` of vectors"
    ),
    "physicalName": "what the column is called where the rows come from; without it, or without such a column: `name`",
    "required": "no row without a value",
    "unique": "no two rows with the same value; rows without one are not compared",
    "semanticType": _PEOPLE,
    "partitioned": "rows with equal values here have files of their own, which stay while none of them changes",
    "partitionKeyPosition": "the place among several such properties",
    "classification": "see below",
    "encryptedName": f"{_PEOPLE}: nothing is encrypted",
    "transformSourceObjects": _PEOPLE,
    "transformLogic": f"{_PEOPLE}: it is not run",
    "transformDescription": _PEOPLE,
    "examples": f"{_PEOPLE}; no release has them",
    "enum": "the allowed values; the `label` of each is what the filter `label` prints",
    "criticalDataElement": _PEOPLE,
    "relationships": (
        "the row of another product that this value names, also of another domain: `to: "
        "<domain>/<product>.odcs.yaml#/schema/<object>/properties/<property>`. Not audited: it lets a link leave out "
        "`on`. One that leads out of the mesh is a warning"
    ),
    "quality": "see below",
    "items": "what is in an `array`: types and `required` are audited; all else inside is a warning",
    "properties": "what is in an `object`, as `items`",
    "map": "the keys and values of a `map`: the strictest classification in it is that of the whole",
}


def tables() -> dict[str, str]:
    """Return the three tables. Raises ValueError when the standard has a field that is not explained, or no longer."""
    schema = odcs_schema()
    inner: dict[str, Any] = dict.fromkeys(("items", "properties", "map"))
    element = schema["$defs"]["SchemaElement"]["properties"]
    base = schema["$defs"]["SchemaBaseProperty"]
    return {
        "contract_fields": _table(schema["properties"], CONTRACT),
        "object_fields": _table({**element, **schema["$defs"]["SchemaObject"]["properties"]}, OBJECT),
        "property_fields": _table({**element, **base["properties"], **inner}, PROPERTY),
    }


def _table(fields: dict[str, Any], words: dict[str, str]) -> str:
    return table(["field", "what it does"], ([code(name), text] for name, text in explained(fields, words, "field")))
