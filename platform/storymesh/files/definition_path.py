"""The suffix that tells a files definition from data, for code that reads neither."""

SUFFIX = ".files.yaml"


def is_files_source(source: str | None) -> bool:
    """Return True for the path of a file that says which files a product is made of."""
    return source is not None and source.endswith(SUFFIX)
