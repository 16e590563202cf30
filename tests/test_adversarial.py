"""The adversarial scenarios under the configured rule and method, every cell of each: the runbook's first command."""

from suffice.runbook.adversarial import pytest_generate_tests as pytest_generate_tests
from suffice.runbook.adversarial import test_scenario as test_scenario
