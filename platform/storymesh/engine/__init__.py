"""Opens relations and writes expressions to Parquet; knows no word of the domain."""
