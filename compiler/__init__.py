"""From an exported network to a native engine: Relax passes, TIR kernels, a static plan."""
