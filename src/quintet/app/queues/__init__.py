"""Queues: ordered lists of runs that wait, and the ways in and out of them."""
