"""Video in and out, and its division into patches, chunks and routes."""
