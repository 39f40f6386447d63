"""Uses the other engine's helper."""

from shinka.core import run_shinka_eval


def main(program_path, results_dir):
    run_shinka_eval(
        program_path=program_path,
        results_dir=results_dir,
        experiment_fn_name="run_experiment",
        num_runs=1,
        aggregate_metrics_fn=lambda found: {"combined_score": float(found[0])},
    )
