"""storymesh: a data mesh for training data, from contracts to cases to stories to releases."""

__version__ = "0.1.0"
