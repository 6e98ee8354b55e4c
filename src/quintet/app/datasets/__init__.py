"""Use cases of datasets: rows in, rows out, snapshots and grants."""
