"""The use cases: one function each, that authorises, decides and stores. The only home of a rule."""
