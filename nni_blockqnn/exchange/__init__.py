"""What tuner, trial and commands tell each other: parameters, metrics, arguments, finalists."""
