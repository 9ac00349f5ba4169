"""Training: a folder for each trainer, and what all of them share."""
