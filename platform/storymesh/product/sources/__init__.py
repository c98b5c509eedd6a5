"""Readers of product rows, one file for each kind of source."""
