"""What each experiment makes of its trials: one labelled dataset."""
