"""Narratives that nobody has tuned for: drawn from a grammar over drawn worlds, told by storymesh and by bare SQL."""
