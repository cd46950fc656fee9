"""A block: its structure codes, its graph, and when two blocks are the same."""
