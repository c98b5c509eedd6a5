"""The closed list of filters: a family in each file, and in each filter all that the platform knows of it."""
