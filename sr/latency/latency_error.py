"""The one error of latency tables."""


class LatencyError(Exception):
    """A table cannot be had, read or asked: what, where, what to do, in one line."""

    exit_code = 2
