"""An engine without a model: fixed rules, for tests and for trying out a server."""
