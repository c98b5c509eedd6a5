"""What a narrative author writes, typed and checked against the contracts of its cast."""
