"""The way in: an exported program becomes a Relax module, and what holds of its shapes."""
