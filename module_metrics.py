"""The counters, under the name that host code imports: the same as `suffice.telemetry.shared`."""

from suffice.telemetry.counters import Counter
from suffice.telemetry.shared import decided, flush, increment

__all__ = ["Counter", "decided", "flush", "increment"]
