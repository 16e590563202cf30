"""The command line: one file for each command group, and what they share.

Here: options, progress, and the one place that prints an answer. Not here: anything that decides or computes. Heavy
imports stay inside the functions that need them, so that `suffice --help` is quick.
"""
