"""A retelling held against the facts of its record: what no fact carries, and what it leaves out."""
