"""Hugging Face model folders in a process of their own, so that the server never imports torch."""
