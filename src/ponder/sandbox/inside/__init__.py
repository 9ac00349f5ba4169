"""The code that runs on the other side: standard library only, and nothing of the trusted side."""
