"""The package on disk: weights, routes, index, manifests. It reads and writes; it runs nothing."""
