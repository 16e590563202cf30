"""The benchmark: what a decision costs, and what it is worth, beside what people would use instead.

Run it with `python -m benchmarks.run`. Nothing of the package imports this.
"""
