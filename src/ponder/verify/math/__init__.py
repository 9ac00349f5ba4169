"""Answers to mathematical problems: read exactly, compared exactly, sympy only as a last resort."""
