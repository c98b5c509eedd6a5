"""Words of a language by what they do: deny, count, bound, join or say nothing; a data file for each language"""
