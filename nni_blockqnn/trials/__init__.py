"""What a trial does, and shares with ``blockqnn train``: arguments, training, kept results."""
