"""What surrounds a block: the network's shape, its widths, its exact cost and the reward."""
