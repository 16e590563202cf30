"""Counters: in memory while decisions are made, and the metrics file that several processes share.

Here: counting, adding up, reading back. Not here: what a count means (`gates`), or showing it (`cli`).
"""
