"""Billing tags, usage and cost."""
