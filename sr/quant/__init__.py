"""Quantisation: from a trained network to integers that every target computes bit for bit."""
