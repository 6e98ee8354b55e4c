"""Use cases of benchmarks, evaluations and leaderboards."""
