"""Flames in paired RGB and thermal drone frames: a colour rule, loaders, made-up pairs."""
