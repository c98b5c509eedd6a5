"""Records rewritten by a language model and checked against their facts."""
