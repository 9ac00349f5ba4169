"""Models and tokenizers: loading, saving, and the tiny random model that ships as a fake."""
