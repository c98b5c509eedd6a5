"""The page of benchmarks, docs/benchmarks.md: measured, drawn and written by one command."""
