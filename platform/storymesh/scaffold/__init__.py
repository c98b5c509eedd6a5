"""Drafts of the files that people write, from their data and from contracts"""
