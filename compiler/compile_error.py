"""The one error of the compiler."""


class CompileError(Exception):
    """A network or target cannot be compiled: what, where, what to do, in one line."""

    exit_code = 2
