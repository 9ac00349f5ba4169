"""Training reward models: preferences become examples, a scalar head learns to tell them apart."""
