"""The whole rollout at work on recorded corrections: traffic, a compressed clock, faults on demand, and the report.

Here: replaying corrections through the real verifier, store, flag, gates and controller. Not here: any of these;
nothing is imitated but the time between arrivals.
"""
