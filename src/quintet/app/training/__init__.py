"""Use cases of trainings that the server itself carries out."""
