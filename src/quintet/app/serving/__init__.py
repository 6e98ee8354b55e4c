"""Serving: deployments, the routing table, and the one call path every completion takes."""
