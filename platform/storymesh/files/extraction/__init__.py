"""Values that a model takes from files: what it is asked, what it answered, and which of that the file itself says."""
