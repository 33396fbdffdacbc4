"""Parts of `python -m benchmarks.rate`: clips, cells, how a cell is made, curves."""
