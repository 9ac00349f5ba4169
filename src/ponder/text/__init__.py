"""Text in, structure out: prompt templates, completion parsing, reflective words."""
