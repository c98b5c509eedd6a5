"""The DuckDB engine: the only place that imports duckdb."""
