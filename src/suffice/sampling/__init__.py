"""Where draws come from: reproducible streams, distributions, and the samplers that turn a stream into draws.

Here: anything that produces draws. Not here: what a draw means (`decision`) or how many are needed (`stopping`).
"""
