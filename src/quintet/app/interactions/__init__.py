"""Interactions: what was asked and answered, found again."""
