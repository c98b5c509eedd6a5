"""Trace printed values to product rows, and explain how cases came about."""
