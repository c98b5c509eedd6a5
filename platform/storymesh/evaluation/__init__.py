"""Scoring of models' answers against the computed answers of a release, without a judge"""
