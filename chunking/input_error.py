"""What chunking raises when a user's file cannot serve."""


class InputError(Exception):
    """A video that cannot be read or is not supported: one line of what, where and what to do."""

    exit_code = 3


class NoSuchTrackError(InputError):
    """A stream that was asked for is not in the film: the line names those that are."""

    exit_code = 2
