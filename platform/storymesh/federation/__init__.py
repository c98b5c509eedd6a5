"""Data of other places: servers that are read, and what may leave a premise and did"""
