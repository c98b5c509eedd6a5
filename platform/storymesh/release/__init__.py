"""From records to an immutable, documented release."""
