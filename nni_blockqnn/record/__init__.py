"""What the tuner writes down of a search, and reads again at a resume."""
