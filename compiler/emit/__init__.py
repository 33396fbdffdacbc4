"""The way out: plans as C text, kernels as objects, both linked into a library."""
