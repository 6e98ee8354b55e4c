"""Projects: the tree that owns runs, models, datasets and deployments."""
