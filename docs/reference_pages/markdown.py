"""Tables and code of the reference pages as Markdown."""

from collections.abc import Iterable, Iterator, Mapping


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *([*row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def code(text: object) -> str:
    return f"`{text}`"


def listed(names: Iterable[object]) -> str:
    return ", ".join(code(name) for name in names)


def explained(names: Iterable[str], words: Mapping[str, str], what: str) -> Iterator[tuple[str, str]]:
    """Yield (name, words) in the order of `names`. Raises ValueError when the two do not have the same names."""
    ordered = list(names)
    if wrong := set(ordered) ^ set(words):
        raise ValueError(f"{what}: explained or there, not both: {', '.join(sorted(wrong))}")
    return ((name, words[name]) for name in ordered)
