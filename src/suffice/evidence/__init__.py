"""What the ledger proves: decisions counted once, and recorded ones decided again by a fresh process.

Here: counting and measuring. Not here: judging what was measured (`gates`), or acting on it (`rollout`).
"""
