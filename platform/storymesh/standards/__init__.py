"""The Open Data Contract and Product Standards as published: which rule of a standard a file breaks, in words."""
