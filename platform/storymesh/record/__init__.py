"""From cases to records: told in the formats of a narrative, split, and led back to their rows."""
