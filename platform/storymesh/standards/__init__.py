"""The Open Data Contract and Product Standards as published, and where a file breaks them, in words."""
