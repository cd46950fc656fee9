"""Who chooses the next block: the search, the Q-learning agent and its replay memory."""
