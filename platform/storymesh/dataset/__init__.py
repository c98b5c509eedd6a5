"""A narrative on fixed snapshots: cases, splits, precedents and rendered records."""
