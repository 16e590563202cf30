"""The adversarial scenarios under the configured rule and method, every cell of each: the runbook's first command."""

from suffice.runbook.adversarial import conditions as conditions
from suffice.runbook.adversarial import test_scenario as test_scenario
