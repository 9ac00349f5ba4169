"""Generators: whatever produces completions. The local engine, and the scripted fake."""
