"""The dialect of Adaptive Engine: GraphQL, and REST for calls and uploads."""
