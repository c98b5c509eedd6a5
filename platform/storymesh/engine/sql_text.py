"""Names and texts as SQL has them: in quotes, and whatever they hold is part of them."""


def quote_name(name: str, mark: str = '"') -> str:
    """Return a name as an identifier. `mark` is what stands around it: the standard's, or that of a server."""
    return mark + name.replace(mark, mark * 2) + mark


def quote_text(text: str) -> str:
    """Return a text as a literal, for whoever reads a backslash in it as one."""
    return quote_name(text, "'")
