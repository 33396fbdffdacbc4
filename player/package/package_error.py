"""The one error of a damaged or refused package."""


class PackageError(Exception):
    """Data of a package is damaged, unsigned or refused: what, where, what to do, in one line."""

    exit_code = 5
