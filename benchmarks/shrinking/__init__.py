"""`python -m benchmarks.shrink`: clips, arms, how a network is judged, what the rows claim."""
