"""The plugin with which dbt's own DuckDB is confined: dbt-duckdb calls it once for each database that it opens.

It runs in dbt's process. What a profile sets for each cursor could not be set once the configuration is locked, and a
path can be allowed only before access is taken away, so that a profile alone cannot do this.
"""

import json
import os
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from storymesh.engine.duckdb.connection import confine
from storymesh.engine.sql_text import quote_text


class Plugin(BasePlugin):
    """The confinement of a domain's models; its configuration has `folder`, `settings` and `allowed`: a file with the
    paths that they may read, so that the profile, and with it what dbt has parsed, outlives a change of these."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        self._config = plugin_config

    def configure_connection(self, conn: Any) -> None:
        """Take from dbt's database everything but the files and folders allowed; relative paths mean `folder`."""
        os.chdir(self._config["folder"])
        for name, value in {**self._config["settings"], "TimeZone": "UTC"}.items():
            conn.execute(f"SET GLOBAL {name} = {quote_text(str(value))}")
        allowed = json.loads(Path(self._config["allowed"]).read_text(encoding="utf-8"))
        confine(conn, [Path(path) for path in allowed])
