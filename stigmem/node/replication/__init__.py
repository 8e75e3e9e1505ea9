"""Facts between nodes: pulling pages from peers, taking them in, and serving pages of our own."""
