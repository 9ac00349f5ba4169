"""On-policy distillation: the loop of RL, with a teacher's distributions in place of rewards."""
