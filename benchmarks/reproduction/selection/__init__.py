"""Which patches a network is overfitted to: hold-out and forgetting, tickets."""
