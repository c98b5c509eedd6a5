"""Synthetic operations around real disruptions: raw exports of three desks, at any scale, the same for the same seed."""
