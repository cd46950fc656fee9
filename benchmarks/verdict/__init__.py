"""Searches at equal cost that are really trained, and what their picks are worth in the end."""
