"""Data between the stages: rows of training text, filtered, deduplicated, decontaminated, mixed."""
