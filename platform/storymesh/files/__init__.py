"""Files that stay where they are: what is in each, read by processes of their own that a bad file cannot harm."""
