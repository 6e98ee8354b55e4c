"""Experiments: A/B tests over the deployments of a project."""
