"""Quintet: one self-hosted server for the whole life of a model, speaking five public APIs over one core."""

__version__ = "0.1.0"
