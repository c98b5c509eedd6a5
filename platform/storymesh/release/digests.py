"""The digest of a release: a Merkle sum of its records, the same on any engine, folder and machine."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from storymesh.engine.duckdb.digest import relation_digest
from storymesh.engine.engine import Engine
from storymesh.release.manifest import CASE, drops_file, record_files

FORM = "storymesh-release-1"


@dataclass(frozen=True)
class Digests:
    """The digests of a release, from its files. `whole` covers the records with their splits, and what dropped for
    which reason: nothing that only a machine or a moment gives."""

    configs: Mapping[str, str]
    drops: str

    @property
    def whole(self) -> str:
        records = (part for config in sorted(self.configs) for part in (config, self.configs[config]))
        parts = (FORM, *records, self.drops)
        return hashlib.sha256("".join(f"{len(part.encode())}:{part}" for part in parts).encode()).hexdigest()


def digests_of(folder: Path, configs: Iterable[str], engine: Engine) -> Digests:
    """The digests of the release in `folder`, computed. A config without records has that of no bytes."""
    names = sorted(configs)
    records = {
        config: " UNION ALL BY NAME ".join(
            f"SELECT *, '{split}' AS split FROM read_parquet({_names(files)})"
            for split, files in record_files(folder, config).items()
        )
        for config in names
    }
    drops = " UNION ALL ".join(
        f"SELECT '{name}' AS config, case_id, reason FROM read_parquet({_names([drops_file(folder, name)])})"
        for name in (CASE, *names)
    )
    return Digests({config: _digest(engine, query) for config, query in records.items()}, _digest(engine, drops))


def _names(files: Sequence[Path]) -> str:
    quoted = ", ".join("'" + str(path).replace("'", "''") + "'" for path in files)
    return f"[{quoted}]"


def _digest(engine: Engine, query: str) -> str:
    return relation_digest(engine.connection.con.sql(query)) if query else hashlib.sha256().hexdigest()
