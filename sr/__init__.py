"""Networks, training, metrics, the encode job and the command line."""
