"""Checks of a retold text against its story: values stay the data's, and unknown words are refused"""
