"""Parts of vision transformers whose tokens and attention links thin out while they are trained."""
