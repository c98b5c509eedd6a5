"""What a domain publishes: ODPS files, raw sources, Iceberg snapshots, write–audit–publish."""
