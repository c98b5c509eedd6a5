"""The output of commands: for people on a terminal or in a pipe, and as JSON for machines."""
