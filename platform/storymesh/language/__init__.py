"""Templates and expressions: one language, Jinja's syntax, typed before any data exists. It knows no narrative."""
