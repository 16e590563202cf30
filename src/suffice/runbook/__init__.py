"""The runbook's checks: adversarial scenarios and their sweep, the evaluation cases, counters and the escalation gate.

Here: what each check runs and what it answers. Not here: when a rollout asks for it (`rollout`), or how a command shows
it (`cli`).
"""
