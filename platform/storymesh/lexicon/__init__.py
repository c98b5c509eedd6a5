"""Words by their function: negations, numbers, bounds, conjunctions and neutral words; a data file for each language"""
