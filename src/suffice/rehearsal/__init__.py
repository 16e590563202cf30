"""Production's rollout under a compressed clock: recorded corrections as traffic, faults on demand, and the report.

Here: the clock, the traffic, the faults, the runbook's checks beside it, and what is shown of it. Not here: starting,
judging, rolling back and settling (`rollout`), deciding (`serving`), and what a bundle holds (`triage`).
"""
