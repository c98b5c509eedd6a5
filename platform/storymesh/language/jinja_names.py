"""Names that Jinja and Python know and the language does not, with what is written instead: authors come with them."""

from collections.abc import Mapping

_NOTHING_ESCAPED = "leave it out: nothing is escaped"
_BY_VALUE = 'loop over `rows | map(attribute=…) | unique`, and inside over `rows | selectattr(…, "eq", value)`'
_IN_PORTIONS = "write `{% if loop.index % 3 == 0 %}` inside a loop for what stands after every third"
_CUT = "texts are not cut here: the product's SQL can add a property"
_LAID_OUT = "texts are printed as they are; white space is the template's own"
_FORMATS = 'write `x | number(2)`, `x | percent` or `t | date("%H:%M")`'
_COUNTED = "write `loop.index` inside a loop"

_FILTERS: Mapping[str, str] = {
    "attr": "write a.b",
    "batch": _IN_PORTIONS,
    "center": _LAID_OUT,
    "count": "write `length`",
    "d": "write `default`",
    "dictsort": "write `sort(attribute=…)` of a list of rows",
    "e": _NOTHING_ESCAPED,
    "escape": _NOTHING_ESCAPED,
    "filesizeformat": _FORMATS,
    "float": "leave it out: numbers are computed with as they are, and printed with `number`",
    "forceescape": _NOTHING_ESCAPED,
    "format": _FORMATS,
    "groupby": _BY_VALUE,
    "indent": _LAID_OUT,
    "items": "write the properties by their names",
    "list": "leave it out: what a filter gives is a list",
    "pprint": "print the properties one by one",
    "random": "write `choose(a, b, …)`",
    "reverse": "write `sort(attribute=…, reverse=true)`",
    "safe": _NOTHING_ESCAPED,
    "slice": _IN_PORTIONS,
    "string": 'write `x ~ ""`',
    "striptags": _CUT,
    "tojson": "print the properties one by one",
    "truncate": _CUT,
    "urlize": _LAID_OUT,
    "wordcount": "the product's SQL can count them in a property",
    "wordwrap": _LAID_OUT,
}
_FUNCTIONS: Mapping[str, str] = {
    "cycler": '`"a" if loop.index % 2 else "b"` inside a loop takes turns',
    "dict": "there are no dictionaries; use properties",
    "joiner": 'write `{{ "" if loop.last else ", " }}` inside a loop',
    "namespace": "nothing is carried out of a loop: count and add with `length`, `sum`, `min` and `max` of a list",
    "range": _COUNTED,
}
_METHODS: Mapping[str, str] = {
    "append": "lists are not changed: `selectattr`, `map` and `sort` give new ones",
    "capitalize": "write `| capitalize`",
    "changed": "compare with the list: `rows | map(attribute=…) | unique` has each value once",
    "count": "write `| length`",
    "cycle": '`"a" if loop.index % 2 else "b"` takes turns',
    "endswith": 'the product\'s SQL can add a property; `"part" in text` is true anywhere in it',
    "extend": "lists are not changed: `selectattr`, `map` and `sort` give new ones",
    "format": _FORMATS,
    "get": "write a.b for a property, and `if … elif …` or `label` for what a code stands for",
    "isoformat": 'write `| date("%Y-%m-%dT%H:%M:%S")`',
    "items": "write the properties by their names",
    "join": 'write `list | join(", ")`',
    "keys": "write the properties by their names",
    "lower": "write `| lower`",
    "lstrip": "write `| trim`, which takes both ends",
    "replace": "write `| replace(old, new)`",
    "rstrip": "write `| trim`, which takes both ends",
    "split": "the product's SQL can make a list of it",
    "startswith": 'the product\'s SQL can add a property; `"part" in text` is true anywhere in it',
    "strftime": 'write `| date("%H:%M")`',
    "strip": "write `| trim`",
    "title": "write `| title`",
    "total_seconds": "the product's SQL can add how long it took",
    "upper": "write `| upper`",
    "values": "write the properties by their names",
}
_LOOP: Mapping[str, str] = {
    "depth": "loops are not recursive",
    "depth0": "loops are not recursive",
    "nextitem": "a round sees its own row; the product's SQL can add what comes next (`lead`)",
    "previtem": "a round sees its own row; the product's SQL can add what came before (`lag`)",
}
_TAGS: Mapping[str, str] = {
    "autoescape": _NOTHING_ESCAPED,
    "break": "write `for x in list if …`, or `{% if loop.index <= 3 %}` around what is printed",
    "continue": "write `for x in list if …`, or `{% if … %}` around what is printed",
    "debug": "`storymesh preview` prints one record",
    "do": "lists are not changed: `selectattr`, `map` and `sort` give new ones",
    "trans": "write a record of its own for each language, with `language:` in narrative.yaml",
}

_OF_ONE_KIND = "leave it out: the contract says of which kind a value is"
_TESTS: Mapping[str, str] = {
    "boolean": _OF_ONE_KIND,
    "float": _OF_ONE_KIND,
    "integer": _OF_ONE_KIND,
    "iterable": _OF_ONE_KIND,
    "lower": "write `x == x | lower`",
    "mapping": _OF_ONE_KIND,
    "number": _OF_ONE_KIND,
    "sameas": "write `==`, or `is none`, `is true` and `is false`",
    "sequence": _OF_ONE_KIND,
    "string": _OF_ONE_KIND,
    "undefined": "write `is none`",
    "upper": "write `x == x | upper`",
}


def instead_of_filter(name: str) -> str | None:
    """Return what is written in place of a filter that the language has not, None where Jinja has none either."""
    return _FILTERS.get(name)


def instead_of_function(name: str) -> str | None:
    """Return what is written in place of a function, None where Jinja has none either."""
    return _FUNCTIONS.get(name)


def instead_of_method(name: str) -> str:
    """Return what is written in place of `x.name()`."""
    return _METHODS.get(name) or f"write `{name}` without () for a property"


def instead_of_loop_part(name: str) -> str | None:
    """Return what is written in place of `loop.name`, None where Jinja has none either."""
    return _LOOP.get(name)


def instead_of_tag(name: str) -> str | None:
    """Return what is written in place of a tag, None where Jinja has none either."""
    return _TAGS.get(name)


def instead_of_test(name: str) -> str | None:
    """Return what is written in place of a test, None where Jinja has none either."""
    return _TESTS.get(name)
