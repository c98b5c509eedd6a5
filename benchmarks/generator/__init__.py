"""Synthetic operations around real disruptions: raw exports of three desks, at any scale."""
