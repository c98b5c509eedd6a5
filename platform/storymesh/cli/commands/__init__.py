"""One file for each command. Arguments and options are read here; what is printed is in `storymesh.cli.output`."""
