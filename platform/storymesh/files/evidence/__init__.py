"""Whether a file says a value: by its very words, in its unit, of that row, undenied. No model is asked."""
