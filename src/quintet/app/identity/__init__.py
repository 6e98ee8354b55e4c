"""Accounts and keys: who is asking, and who may be."""
