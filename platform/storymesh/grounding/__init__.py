"""Check a rewritten text against the facts of its record."""
