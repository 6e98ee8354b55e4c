"""Data sources: where data lies outside of the server, and the credentials for it."""
