"""Which tests judge which module, and which of its mutants no test can notice."""

import tomllib
from pathlib import Path

GATES = "gates/test_conformance.py"

JUDGES = {
    "rollout/phases.py": ("rollout/test_phases.py", "rollout/test_controller.py"),
    "rollout/controller.py": ("rollout/test_controller.py",),
    "gates/outcome.py": ("gates/test_outcome.py",),
    "gates/wording.py": ("gates/test_gate_wording.py",),
    "gates/configuration.py": ("gates/test_gate_configuration.py",),
    "gates/clocks.py": ("gates/test_buckets_and_clocks.py",),
    "gates/buckets.py": ("gates/test_buckets_and_clocks.py",),
    "gates/e_process.py": ("gates/test_e_process.py",),
    "gates/flag.py": ("gates/test_gate_flag.py",),
    "gates/health.py": ("gates/test_gate_health.py", GATES),
    "gates/escalation.py": ("gates/test_gate_escalation.py", GATES),
    "gates/determinism.py": ("gates/test_gate_determinism.py", GATES),
    "gates/plan.py": ("gates/test_gate_plan.py", GATES),
    "gates/disagreement.py": ("gates/test_gate_disagreement.py", "gates/test_e_detector.py", GATES),
    "gates/targets.py": ("gates/test_gate_targets.py", GATES),
    "gates/sample_reduction.py": ("gates/test_gate_sample_reduction.py", GATES),
    "gates/betting.py": ("gates/test_betting.py", "gates/test_gate_sample_reduction.py"),
    "flag/bucketing.py": ("flag/test_flag_bucketing.py",),
    "flag/client.py": ("flag/test_flag_client.py",),
    "flag/watched_file.py": ("flag/test_watched_file.py", "flag/test_flag_client.py"),
    "flag/document.py": ("flag/test_flag_document.py",),
    "flag/evaluation.py": ("flag/test_flag_lowering.py",),
    "flag/file.py": ("flag/test_flag_file.py", "test_files.py"),
    "flag/lowering.py": ("flag/test_flag_lowering.py",),
    "flag/probes.py": ("flag/test_flag_probes.py",),
    "serving/fence.py": ("serving/test_fence.py",),
    "serving/permission.py": ("serving/test_permission.py",),
    "serving/refused.py": ("serving/test_refused.py",),
    "serving/spool.py": ("serving/test_spool.py",),
    "serving/agent.py": ("serving/test_agent.py", "serving/test_permission.py"),
    "serving/verifier.py": ("serving/test_verifier.py", "serving/test_verifier_in_production.py"),
    "serving/situation.py": ("serving/test_situation.py",),
    "serving/counted.py": ("serving/test_counted.py",),
    "serving/served.py": ("serving/test_served.py",),
    "stopping/run.py": ("stopping/test_run.py", "stopping/test_run_state.py", "stopping/test_guard.py"),
}
"""The few fast files of `tests/` that are about a module of `src/suffice/`, those first that notice most."""

SAMPLED = {"serving/spool.py": 0.25, "serving/agent.py": 0.236, "serving/verifier.py": 0.1668}
"""The share of mutants that is judged in modules whose tests wait for threads, disks and processes."""

EQUIVALENT: dict[str, dict[str, str]] = tomllib.loads(
    Path(__file__).with_name("equivalent.toml").read_text(encoding="utf-8")
)
"""By module and mutant: why it behaves as the module does, or why nobody should ask for the difference."""
