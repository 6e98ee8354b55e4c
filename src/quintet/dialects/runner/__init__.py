"""What workers and the runs they execute say to the server: an API of our own, at `/runner/v1`."""
