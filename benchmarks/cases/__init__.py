"""What is timed: one module a subject, one function a contender.

A function takes the number of million events, prepares, and returns the work as a function of no
arguments; only the work is timed.
"""
