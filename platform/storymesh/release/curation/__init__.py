"""Rules that drop records from a config: duplicates, length, personal data, evaluation sets."""
