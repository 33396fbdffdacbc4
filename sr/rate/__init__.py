"""The search for the best use of the bytes: candidates, their curves, targets, and the proof that
a package is never worse than a plain encode (docs/search.md)."""
