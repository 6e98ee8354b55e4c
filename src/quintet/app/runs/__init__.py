"""Runs: making, reading, editing, moving through their states, and what they say of their parts."""
