"""From cases to records to an immutable, documented release."""
