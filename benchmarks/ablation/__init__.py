"""Engines with a pass of the compiler left out: plans, loops and kernels of the ablation alone.

PathPlan as shipped
  | variants.py     rings or whole frames, with or without order search and shared memory
  | unfused.py      the same path, each elementwise step a pass over memory
  v
PathPlan of the variant
  | emit.py         the plan as tables
  | variant.c       its loop: over rows, or one for each layer
  | kernels.py, unfused.c    what the passes over memory compute
  v
library.py ── compiler.emit.link ──► one more library with the engine's interface
"""
