"""Runs a job as a subprocess of the worker, in a process group of its own."""
