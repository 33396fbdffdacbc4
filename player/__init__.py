"""The player: opens a package, upscales its frames with a compiled engine, shows or writes them."""
