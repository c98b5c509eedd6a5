"""A search for a text that was planted in a row, in files of every kind."""

from collections.abc import Iterator
from pathlib import Path

import duckdb


def files_with(folder: Path, text: str) -> Iterator[Path]:
    """Yield every file that holds the text: in its bytes, or in the rows of a Parquet or Avro file."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += str(duckdb.sql(f"SELECT t::VARCHAR FROM read_parquet('{path}') AS t").fetchall()).encode()
        elif path.suffix == ".avro":
            content += avro(path)
            assert b"warehouse/" in content, "it is read"
        if text.encode() in content:
            yield path


def avro(path: Path) -> bytes:
    from pyiceberg.avro.file import AvroFile
    from pyiceberg.io.pyarrow import PyArrowFileIO

    with AvroFile(PyArrowFileIO().new_input(str(path))) as rows:
        return " ".join(map(str, rows)).encode()
