"""The demo: the whole life of a model, told through the five APIs with the real clients."""
