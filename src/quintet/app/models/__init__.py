"""The registry's use cases: models, versions, their files, stages and reviews."""
