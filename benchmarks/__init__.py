"""Measurements of kbert and of its peers on the same work: `python -m benchmarks --help`."""
