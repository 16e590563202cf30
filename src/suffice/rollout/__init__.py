"""The staged switch of a service from fixed to adaptive, in production.

Here: the table of phases and the pure controller; the driver, which stores what it decides and does it; the cycle, the
operator's commands, and the one way back to the baseline; fleet, status, notifications, lease, daemon and promotion;
rows of services in other languages.
Not here: counting the ledger (`evidence`), one gate's judgement (`gates`), what a bundle holds (`triage`).
"""
