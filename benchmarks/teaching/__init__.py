"""What models learn from records: one tiny model for each way to tell the same cases, held against the truth."""
