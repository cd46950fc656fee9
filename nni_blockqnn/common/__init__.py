"""What every room may use: messages, checks of values, JSON text, whole-file writes."""
