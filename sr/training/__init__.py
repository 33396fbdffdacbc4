"""Overfitting: crops, the loop, Muon, the generic networks."""
