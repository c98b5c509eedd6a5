"""The compiler: templates and expressions as ibis expressions, which an engine computes for all rows at once."""
