"""A route code in plain arithmetic, beside the arrays of player/package/paths.py."""


def route_code(network: int, path: int, coarse: bool = False) -> int:
    """The byte of a cell: bits 0-1 the path, 2-6 the network, 7 that it is of a coarse patch."""
    return path + 4 * network + 128 * coarse
