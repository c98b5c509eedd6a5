"""Answers of models held against the computed answers of a release, without a judge"""
