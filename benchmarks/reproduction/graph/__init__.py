"""Graph tickets: what a few probed patches say of all the others of a video."""
