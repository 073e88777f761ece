"""Bugs that a person could write, one replacement in the source each; see mutation_study.py."""

from __future__ import annotations

# ruff: noqa: E501  # lines of the source stand as they are
from typing import NamedTuple


class SourceMutant(NamedTuple):
    """A bug: in `file` of the package the text `old`, which is there once, becomes `new`."""

    room: str
    bug: str
    file: str
    old: str
    new: str


_RE = "algorithms/regularized_evolution.py"
_CNN = "algorithms/genetic_cnn.py"
_NAS = "algorithms/genetic_nas.py"
_EG = "algorithms/eg_nas.py"
_EIGEN = "algorithms/eigen.py"
_OPS = "algorithms/operators.py"
_BASE = "spaces/base.py"
_RUNNER = "runner.py"
_LOOKUP = "evaluators/lookup.py"
_STAT = "analysis/statistics.py"
_BOOT = "analysis/bootstrap.py"
_ROWS = "results/rows.py"
_TABLE = "results/on_table.py"
_RUNS = "results/runs.py"

MUTANTS: dict[str, SourceMutant] = {
    # -- algorithms --
    "re_youngest_dies": SourceMutant(
        "algorithms",
        "the youngest dies instead of the oldest",
        _RE,
        "            population.popleft()\n\n    def schedule",
        "            population.pop()\n\n    def schedule",
    ),
    "re_sample_one_less": SourceMutant(
        "algorithms",
        "tournaments of one less",
        _RE,
        "mutate, size = space.mutate, self.sample_size",
        "mutate, size = space.mutate, max(1, self.sample_size - 1)",
    ),
    "tournament_ties_last": SourceMutant(
        "algorithms",
        "among equals in a tournament the last drawn wins",
        _OPS,
        "            rival = left[int(random() * n)]\n            if rival.valid_accuracy > best.valid_accuracy:",
        "            rival = left[int(random() * n)]\n            if rival.valid_accuracy >= best.valid_accuracy:",
    ),
    "tournament_inverted": SourceMutant(
        "algorithms",
        "the least fit of a tournament wins",
        _OPS,
        "            rival = left[int(random() * n)]\n            if rival.valid_accuracy > best.valid_accuracy:",
        "            rival = left[int(random() * n)]\n            if rival.valid_accuracy < best.valid_accuracy:",
    ),
    "flip_same_value": SourceMutant(
        "algorithms",
        "a flipped gene may keep its value",
        _OPS,
        "            genes[gene] = other(genes[gene], cardinalities[gene])\n",
        "            genes[gene] = rng.below(cardinalities[gene])\n",
    ),
    "exchange_never": SourceMutant(
        "algorithms",
        "crossover with the chance of keeping a block",
        _OPS,
        "        if random() < rate:\n            first += b[block]",
        "        if random() > 1 - rate / 2:\n            first += b[block]",
    ),
    "exchange_one_child": SourceMutant(
        "algorithms",
        "the second child gets the first parent's block",
        _OPS,
        "            second += a[block]\n        else:",
        "            second += b[block]\n        else:",
    ),
    "cnn_selects_from_zero": SourceMutant(
        "algorithms",
        "Genetic CNN's roulette does not subtract the worst",
        _CNN,
        "weights = [value - worst for value in r]",
        "weights = list(r)",
    ),
    "cnn_mutates_always": SourceMutant(
        "algorithms",
        "Genetic CNN ignores p_M",
        _CNN,
        "        if rng.random() >= self.p_mutation:\n            return parent\n",
        "",
    ),
    "nas_keeps_one_more": SourceMutant(
        "algorithms",
        "GeneticNAS keeps one individual more",
        _NAS,
        "dict(ranked[: self.population_size])",
        "dict(ranked[: self.population_size + 1])",
    ),
    "nas_old_fitness": SourceMutant(
        "algorithms",
        "GeneticNAS keeps the first fitness instead of the last",
        _NAS,
        "        measured = population | dict(\n            zip([answer.genotype for answer in answers], fitness, strict=True)\n        )\n",
        "        measured = dict(\n            zip([answer.genotype for answer in answers], fitness, strict=True)\n        ) | population\n",
    ),
    "eg_sign_of_xi": SourceMutant(
        "algorithms",
        "EG-NAS moves alpha away",
        _EG,
        "np.asarray(alpha + self.xi * step)",
        "np.asarray(alpha - self.xi * step)",
    ),
    "eg_eta_flipped": SourceMutant(
        "algorithms",
        "EG-NAS: sign of eta",
        _EG,
        "[-self.eta if accuracy > answer.valid_accuracy else self.eta",
        "[self.eta if accuracy > answer.valid_accuracy else -self.eta",
    ),
    "eg_sigma_constant": SourceMutant(
        "algorithms",
        "EG-NAS: sigma does not fall",
        _EG,
        "sigma = max(self.sigma / (t + 1), self.sigma_min)",
        "sigma = max(self.sigma, self.sigma_min)",
    ),
    "eg_worst_direction": SourceMutant(
        "algorithms",
        "EG-NAS takes a strategy's least fit",
        _EG,
        "            i = int(f.argmin())\n",
        "            i = int(f.argmax())\n",
    ),
    "eigen_threshold_falls": SourceMutant(
        "algorithms",
        "EIGEN's thresholds may fall",
        _EIGEN,
        "v = max(fitness[min(rank, len(fitness)) - 1], self.values[landmark])",
        "v = fitness[min(rank, len(fitness)) - 1]",
    ),
    "eigen_no_patience": SourceMutant(
        "algorithms",
        "EIGEN's patience never begins anew",
        _EIGEN,
        "        if self._stale >= self._algorithm.patience:\n            self._best, self._stale = fitness, 0",
        "        if self._stale >= self._algorithm.patience:\n            self._best = fitness",
    ),
    "eigen_one_step": SourceMutant(
        "algorithms",
        "EIGEN's steps are always the largest",
        _EIGEN,
        "1 + rng.below(step) if step else 0",
        "step",
    ),
    "local_search_equal": SourceMutant(
        "algorithms",
        "local search moves to equals",
        "algorithms/local_search.py",
        "                    if answer.valid_accuracy > current.valid_accuracy:",
        "                    if answer.valid_accuracy >= current.valid_accuracy:",
    ),
    "local_search_unshuffled": SourceMutant(
        "algorithms",
        "local search takes neighbours in order",
        "algorithms/local_search.py",
        "                rng.shuffle(neighbours)\n                climbing",
        "                climbing",
    ),
    "mutation_same_value": SourceMutant(
        "algorithms",
        "a mutated gene may keep its value",
        _BASE,
        "            drawn = int(random() * (cardinalities[gene] - 1))\n"
        "            genes[gene] = drawn if drawn < genes[gene] else drawn + 1\n",
        "            genes[gene] = int(random() * cardinalities[gene])\n",
    ),
    "mutation_not_last_gene": SourceMutant(
        "algorithms",
        "the last gene never mutates",
        _BASE,
        "            gene = int(random() * n)\n            drawn",
        "            gene = int(random() * (n - 1))\n            drawn",
    ),
    "sample_not_last_value": SourceMutant(
        "algorithms",
        "sampling never draws the last operation",
        _BASE,
        "tuple([int(u * c) for u, c in zip(randoms(genes), cardinalities, strict=True)])",
        "tuple([int(u * (c - 1)) for u, c in zip(randoms(genes), cardinalities, strict=True)])",
    ),
    # -- runner --
    "seeds_reused": SourceMutant(
        "runner",
        "seeds above 20 are used again",
        "engines/tasks.py",
        "                seed=seed,\n                budget",
        "                seed=seed % 20,\n                budget",
    ),
    "budget_one_more": SourceMutant(
        "runner",
        "a budget covers one evaluation more",
        _RUNNER,
        "self.evaluations = evaluations * (1 - share) + _SLACK",
        "self.evaluations = evaluations * (1 - share) + 1 + _SLACK",
    ),
    "fraction_costs_whole": SourceMutant(
        "runner",
        "partial trainings cost a whole one",
        _RUNNER,
        "account.evaluations -= n if whole else sum([answered.cost for answered in answers])",
        "account.evaluations -= n",
    ),
    "streams_shared": SourceMutant(
        "runner",
        "every seed has the stream of its half",
        _RUNNER,
        '    generator = begun(algorithm, evaluator.space, stream(seed, "algorithm"))\n    send',
        '    generator = begun(algorithm, evaluator.space, stream(seed // 2, "algorithm"))\n    send',
    ),
    "incumbent_last_equal": SourceMutant(
        "runner",
        "among equals the last is the incumbent",
        "incumbents.py",
        "(accuracy > best_accuracy or fraction > best_fraction)",
        "(accuracy >= best_accuracy or fraction > best_fraction)",
    ),
    "incumbent_partial": SourceMutant(
        "runner",
        "a partial training may be the incumbent",
        "incumbents.py",
        "        if fraction >= best_fraction and (accuracy > best_accuracy or fraction > best_fraction):",
        "        if accuracy > best_accuracy:",
    ),
    "incumbent_best_of_mean": SourceMutant(
        "runner",
        "rule mean takes the last answer",
        "incumbents.py",
        "            sums[genotype] += accuracy\n",
        "            sums[genotype] = accuracy * (1 - known[2])\n",
    ),
    "curve_one_late": SourceMutant(
        "runner",
        "an incumbent counts from the next evaluation",
        "incumbents.py",
        "            points.append((round(spent[i], 9), genotype))",
        "            points.append((round(spent[min(i + 1, len(spent) - 1)], 9), genotype))",
    ),
    # -- evaluators --
    "reads_the_mean": SourceMutant(
        "evaluators",
        "a search reads the reported mean",
        _LOOKUP,
        "        accuracies = list(compress(table.valid_accuracy[d, index].tolist(), present))",
        "        accuracies = [float(table.mean_accuracy[d, index])] * sum(present)",
    ),
    "first_trial_only": SourceMutant(
        "evaluators",
        "every answer is the first trial",
        _LOOKUP,
        "            answers.append(row[int(random() * len(row))])",
        "            answers.append(row[int(random() * len(row)) * 0])",
    ),
    "first_data_set": SourceMutant(
        "evaluators",
        "every data set reads the first one",
        _LOOKUP,
        "        self._d = table.row(dataset)\n",
        "        self._d = 0 * table.row(dataset)\n",
    ),
    "noise_not_seeded": SourceMutant(
        "evaluators",
        "the noise of every seed is that of seed 0",
        _LOOKUP,
        'stream(seed, "evaluator noise")',
        'stream(0, "evaluator noise")',
    ),
    "landmark_same_trial": SourceMutant(
        "evaluators",
        "a landmark reads the trial of the end",
        _LOOKUP,
        "trial = earlier if curves else (earlier + 1) % len(row)",
        "trial = earlier",
    ),
    "seconds_without_validation": SourceMutant(
        "evaluators",
        "simulated seconds leave a tenth out",
        _LOOKUP,
        "seconds = float(table.full_seconds[d, index])",
        "seconds = 0.9 * float(table.full_seconds[d, index])",
    ),
    # -- statistics --
    "better_swapped": SourceMutant(
        "statistics",
        "P(better) the other way round",
        _STAT,
        "return 1.0 - beaten_when_higher if lower_is_better else beaten_when_higher",
        "return beaten_when_higher if lower_is_better else 1.0 - beaten_when_higher",
    ),
    "better_ties_lost": SourceMutant(
        "statistics",
        "ties count as lost",
        _STAT,
        "(below.sum() + up_to.sum()) / (2 * len(x) * len(y))",
        "(2 * below.sum()) / (2 * len(x) * len(y))",
    ),
    "holm_is_bonferroni": SourceMutant(
        "statistics",
        "Holm multiplies every p by k",
        _STAT,
        "steps = (len(raw) - np.arange(len(raw))) * raw[order]",
        "steps = len(raw) * raw[order]",
    ),
    "iqm_is_mean": SourceMutant(
        "statistics",
        "the IQM drops an eighth only",
        _BOOT,
        "return n // 4, n - n // 4",
        "return n // 8, n - n // 8",
    ),
    "interval_without_bias": SourceMutant(
        "statistics",
        "intervals without acceleration",
        _BOOT,
        "a = float((influence**3).sum() / (6 * (influence**2).sum() ** 1.5))",
        "a = 0.0",
    ),
    # -- summary --
    "improvement_swapped": SourceMutant(
        "summary",
        "P(better) with its arguments swapped",
        _ROWS,
        "statistics.probability_of_improvement(ours.losses, base.losses)",
        "statistics.probability_of_improvement(base.losses, ours.losses)",
    ),
    "ddof": SourceMutant(
        "summary",
        "standard deviation over n",
        _ROWS,
        "self.losses.std(ddof=1)",
        "self.losses.std(ddof=0)",
    ),
    "rank_of_ties": SourceMutant(
        "summary",
        "equal means have the lower rank",
        _ROWS,
        "group.rank = 1 + sum(mean < group.interval.estimate for mean in means)",
        "group.rank = sum(mean <= group.interval.estimate for mean in means)",
    ),
    "other_baseline": SourceMutant(
        "summary",
        "compared with another data set's random search",
        _ROWS,
        "        (group, baselines[group.dataset])\n",
        "        (group, list(baselines.values())[-1])\n",
    ),
    "seeds_filter": SourceMutant(
        "summary",
        "runs of seeds that were not asked for count",
        _RUNS,
        " if run.seed in wanted]",
        "]",
    ),
    "checkpoint_early": SourceMutant(
        "summary",
        "a checkpoint reads the incumbent before",
        _RUNS,
        'searchsorted(ends, side="right") - 1',
        'searchsorted(ends, side="right") - 2',
    ),
    "returned_is_found": SourceMutant(
        "summary",
        "what a search ended with is what it recommends",
        _TABLE,
        "judge.regret(dataset, run.returned)",
        "judge.regret(dataset, run.genotype)",
    ),
    "regret_of_best_trial": SourceMutant(
        "summary",
        "regret from the best trial",
        _TABLE,
        "    return np.asarray(table.best[d] - table.quality[d])",
        "    return np.asarray(np.nanmax(table.valid_accuracy[d]) - table.quality[d])",
    ),
    "interval_swapped": SourceMutant(
        "summary",
        "ends of the accuracy's interval swapped",
        _TABLE,
        'Column("accuracy_low", lambda g: _valid(g, g.interval.high))',
        'Column("accuracy_low", lambda g: _valid(g, g.interval.low))',
    ),
    # -- gate --
    "gate_never_inferior": SourceMutant(
        "gate",
        "layer B takes worse for better",
        "gate/layers.py",
        "statistics.probability_of_improvement(new, old) < _EVEN",
        "statistics.probability_of_improvement(new, old) > _EVEN",
    ),
    "gate_level": SourceMutant(
        "gate",
        "layer B's level is 5 in a million million",
        "gate/layers.py",
        "ALPHA = 0.005 ",
        "ALPHA = 5e-12 ",
    ),
    "gate_ignores_hashes": SourceMutant(
        "gate",
        "layer A sees no changed seed",
        "gate/traces.py",
        "    changed = [measured.first_seed + i for i, ok in enumerate(same) if not ok]",
        "    changed = [measured.first_seed + i for i, ok in enumerate(same) if ok is None]",
    ),
    "gate_area_late": SourceMutant(
        "gate",
        "the area leaves the last evaluation out",
        "gate/measured.py",
        "np.array([1, *(start for start, _ in points[1:]), end + 1])",
        "np.array([1, *(start for start, _ in points[1:]), end])",
    ),
    "gate_summary_tolerant": SourceMutant(
        "gate",
        "layer D takes figures within 10% for equal",
        "gate/summary.py",
        "_SAME = 1e-7 ",
        "_SAME = 0.1 ",
    ),
    "gate_passes_changes": SourceMutant(
        "gate",
        "changed cells of layer B pass",
        "gate/judgement.py",
        "changed = [c for c in self.cells if c.changed and not self.allow_changed_traces]",
        "changed = [c for c in self.cells if c.changed < 0 and not self.allow_changed_traces]",
    ),
}
