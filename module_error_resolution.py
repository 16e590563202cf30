"""Resolution with its rollback-storm escalation, under the name that host code imports: see `suffice.resolution`."""

from suffice.resolution.judge import Outcome, Resolution
from suffice.resolution.resolve import Resolver, Summary
from suffice.resolution.storm import StormPolicy, StormState, replay
from suffice.sources.correction import Correction

__all__ = ["Correction", "Outcome", "Resolution", "Resolver", "StormPolicy", "StormState", "Summary", "replay"]
