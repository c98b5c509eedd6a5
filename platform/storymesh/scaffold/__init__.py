"""First versions of the files that people write, drafted from their data and from contracts"""
