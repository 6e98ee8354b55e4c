"""The one way out of the server: an HTTP client that refuses targets inside our own network."""

from quintet.egress.client import GuardedEgress
from quintet.egress.policy import AddressPolicy
from quintet.egress.target import Target, parse_target

__all__ = ["AddressPolicy", "GuardedEgress", "Target", "parse_target"]
