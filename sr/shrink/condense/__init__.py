"""Mixtures of experts condensed into dense networks (CD-MoE, "Condense, Don't Just Prune")."""
