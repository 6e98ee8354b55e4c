"""The dialect of Domino Data Lab: REST, and the MLflow routes that its clients use."""
