"""The one error of a command that cannot mean what it says."""


class UsageError(Exception):
    """The command cannot mean this: what, where, what to do, in one line."""

    exit_code = 2
