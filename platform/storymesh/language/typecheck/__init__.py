"""The type checker: what an expression or template gives, before any data exists."""
