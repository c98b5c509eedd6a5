"""Variants of templates written by a language model, and accepted where they say what the original says."""
