"""Evidence for a value in a file: stated in words, in its unit, about that row, and not negated. No model is asked."""
