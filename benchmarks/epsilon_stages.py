"""Mean accuracy of a search at each epsilon: ``python benchmarks/epsilon_stages.py EXPERIMENT``."""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict

from nni_blockqnn.results.experiment import find_experiment, read_results
from nni_blockqnn.results.search_journal import epsilons


def main(experiment_id: str | None) -> None:
    experiment = find_experiment(experiment_id)
    results = read_results(experiment)
    epsilon = epsilons(experiment.directory)
    stages: defaultdict[float, list[float]] = defaultdict(list)
    for trial in results.trials:
        if trial.accuracy is not None:
            stages[epsilon[trial.episode]].append(trial.accuracy)
    print("| epsilon | trials | mean accuracy % | standard error | best % |")
    print("| --- | --- | --- | --- | --- |")
    for stage, accuracies in sorted(stages.items(), reverse=True):
        count = len(accuracies)
        error = statistics.stdev(accuracies) / count**0.5 if count > 1 else float("nan")
        mean, best = statistics.mean(accuracies), max(accuracies)
        print(f"| {stage:.1f} | {count} | {mean:.2f} | {error:.2f} | {best:.2f} |")
    print(f"\ntrials by status: {dict(results.statuses)}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
