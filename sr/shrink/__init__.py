"""Smaller networks: stages that take away what a trained network can do without."""
