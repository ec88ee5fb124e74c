"""Measurements of what must stay fast; see README.md."""
