"""Untrusted text for a terminal or a log: invisible and control characters are escaped.

A terminal acts on escape sequences: they write to the clipboard, set titles, make links and overwrite lines. Characters
that reverse the direction of text or have no width make a text look like another one. `\\x1b` as four characters does
nothing of this.
"""

import re
from functools import lru_cache

_BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols that look like nothing at all
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")


@lru_cache(maxsize=1)
def _unsafe() -> re.Pattern[str]:
    """Return the pattern of a character that has to be escaped.

    These are control characters but newline and tab, format characters (direction, no width, tags), lone surrogates,
    separators of lines and paragraphs, the variation selectors beyond those of symbols, and blank letters.
    """
    import unicodedata

    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    every = (*range(0x3200), *range(0xD800, 0xE000), *range(0xFE00, 0x20000), *range(0xE0000, 0xE1000))
    others = {*map(ord, _BLANK), 0x034F, *range(0xE0100, 0xE01F0)}
    chosen = [number for number in every if number in others or unicodedata.category(chr(number)) in kinds]
    ranges: list[list[int]] = []
    for number in chosen:
        if number in (ord("\n"), ord("\t")):
            continue
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return re.compile("[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges) + "]")


def printable(text: str) -> str:
    """Return `text` with every character that a terminal acts on, or nobody sees, as `\\x1b`, `\\u202e`."""
    return text if text.isascii() and text.isprintable() else _unsafe().sub(_written_out, text)


def printable_line(text: str) -> str:
    """Return `text` as `printable` does, with newlines escaped too, so that it cannot start a line of its own."""
    return printable(text).replace("\n", "\\n")


def printable_with_colours(text: str) -> str:
    """Return `text` as `printable` does, but keep colours: for the output of other programs."""
    parts = _COLOUR.split(text)
    colours = [*_COLOUR.findall(text), ""]
    return "".join(printable(part) + colour for part, colour in zip(parts, colours, strict=True))


def shortened(text: str, most: int) -> str:
    """Return `text`, truncated after `most` characters."""
    return text if len(text) <= most else f"{text[:most]}…"


def printable_json(document: str) -> str:
    """Return a JSON document with the same characters as JSON escapes, which leave its values unchanged."""
    return _unsafe().sub(lambda match: _json_escape(match[0]), document)


def _written_out(match: re.Match[str]) -> str:
    number = ord(match[0])
    if match[0] == "\r":
        return "\\r"
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))
