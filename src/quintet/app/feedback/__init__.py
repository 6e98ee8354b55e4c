"""Metrics and the feedback that is given in them."""
