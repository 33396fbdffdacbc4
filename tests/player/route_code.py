"""A route code in plain arithmetic, beside the arrays of player/package/paths.py."""


def route_code(network: int, path: int, coarse: bool = False) -> int:
    """The byte of a cell: bits 0, 1 and 6 the path, 2-5 the network, 7 that it is of a coarse
    patch."""
    return path % 4 + 4 * network + 64 * (path // 4) + 128 * coarse
