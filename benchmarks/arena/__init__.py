"""Search agents played on tables of trained blocks, so that thousands of searches take minutes."""
