"""``hydra/sweeper=optuna``: Hydra's multirun as an Optuna study (`khabar.sweeps`), with any of Hydra's launchers.

Hydra finds this file because the scripts stand beside its folder. The published plugin of the same purpose,
hydra-optuna-sweeper 1.3.0, asks for Optuna below 3, gives a job no trial to report to, so that nothing can be pruned,
and begins to count at nothing when a study goes on; the values of ``params`` are written as there.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, Quote, QuotedString, RangeSweep
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

__all__ = ["KhabarSweeper"]


class KhabarSweeper(Sweeper):
    """Its parameters are the keys of ``configs/hydra/sweeper/optuna.yaml``."""

    def __init__(
        self,
        folder: str | None,
        storage: str | None,
        study_name: str | None,
        n_trials: int,
        n_jobs: int,
        seed: int,
        sampler: DictConfig,
        pruner: DictConfig | None,
        keep_models: bool,
        params: Mapping[str, str],
    ) -> None:
        self.given = folder, storage, study_name
        self.n_trials, self.n_jobs, self.seed, self.keep_models = n_trials, n_jobs, seed, keep_models
        self.sampler, self.pruner, self.params = sampler, pruner, params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take the composed configuration and make the launcher."""
        self.config, self.hydra_context = config, hydra_context
        self.composed: Any = config
        HydraConfig.instance().set_config(config)  # Hydra does so for jobs alone, and the name is made of its choices
        folder, storage, study_name = self.given
        self.study_name = study_name or str(config.name)
        self.folder = Path(folder or f"runs/sweeps/{self.study_name}")
        self.storage = storage or f"sqlite:///{self.folder}/study.db"
        # Workers that are started by a command find this module where the scripts stand.
        scripts = str(Path(__file__).parents[1])
        found = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([scripts, *filter(None, found)]))
        try:
            self.launch: Any = (
                Plugins.instance()
                .instantiate_launcher(hydra_context=hydra_context, task_function=task_function, config=config)
                .launch
            )
        except (ImportError, RuntimeError) as error:
            raise SystemExit(f"error: {str(error).strip()}: pip install 'khabar[sweep]'") from None

    def sweep(self, arguments: list[str]) -> None:
        """Run trials until the study has ``n_trials`` of them, and print the command of the best."""
        from khabar.document import DataError  # when a sweep is begun, not whenever a script starts
        from khabar.sweeps import Sweep, require

        try:
            require()
            space, self.fixed = self._space(arguments)
            study = Sweep(
                self.folder,
                self.storage,
                self.study_name,
                space,
                self._settings(),
                sampler=instantiate(self.sampler),
                seed=self.seed,
            )
            OmegaConf.save(self.config, self.folder / "multirun.yaml")
            command = study.run(self._launch, self.n_trials, self.n_jobs, self._command(space), self.keep_models)
        except DataError as error:
            raise SystemExit(f"error: {error}") from None
        print(f"The best trial again, in a folder of its own:\n\n    {command}\n")

    def _space(self, arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
        """The parameters that are searched, and the other overrides. What the command line says counts more."""
        from khabar.document import DataError

        configured = [f"{key}={value}" for key, value in self.params.items()]
        overrides = {
            o.get_key_element(): o for o in OverridesParser.create().parse_overrides([*configured, *arguments])
        }
        searched = {key: _distribution(one) for key, one in overrides.items() if one.is_sweep_override()}
        if not searched:
            raise DataError("nothing to search: give hparams_search=… or KEY='interval(LOW,HIGH)'")
        if "output" in overrides:
            raise DataError("output: trials have folders of their own, in hydra.sweeper.folder")
        if "objective" in searched:
            raise DataError("objective: trials are compared by one score")
        known = [
            key for key in searched if key[0] == "+" or OmegaConf.select(self.composed, key, default=self) is not self
        ]
        if unknown := searched.keys() - known:
            raise DataError(f"{', '.join(sorted(unknown))}: there is no such key to search; +KEY adds one")
        return searched, [str(o.input_line) for key, o in overrides.items() if key not in searched]

    def _settings(self) -> Any:
        """What every trial has in common: the configuration but for Hydra's part."""
        common = {k: v for k, v in _plain(self.config).items() if k != "hydra"}
        return {**common, "params": fixed} if (fixed := self._fixed_by_params()) else common

    def _fixed_by_params(self) -> list[str]:
        """The values of ``params`` that are the same in every trial; those that were typed are in the configuration."""
        return [one for one in self.fixed if one not in sys.argv[1:]]

    def _launch(self, trials: Mapping[int, Mapping[str, Any]]) -> list[float | Exception | None]:
        jobs = []
        for number, values in trials.items():
            report = {
                "_target_": "khabar.sweeps.Report",
                "storage": self.storage,
                "study": self.study_name,
                "number": number,
                "objective": self.composed.objective,
                "pruner": None if self.pruner is None else _plain(self.pruner),
            }
            own = {
                **values,
                "output": str(self.folder / "trials" / str(number)),
                "callbacks": [*_plain(self.composed.callbacks), report],
            }
            jobs.append([*self.fixed, *(f"{key}={_literal(value)}" for key, value in own.items())])
        self.validate_batch_is_legal(jobs)
        return [_outcome(job) for job in self.launch(jobs, initial_job_idx=min(trials))]

    def _command(self, space: Iterable[str]) -> Any:
        """What was typed, without the search, and with the values of a trial."""
        searched = re.compile("|".join([r"-m$|--multirun$|\+*hydra[./]", *(rf"{re.escape(key)}=" for key in space)]))
        typed = [one for one in sys.argv[1:] if not searched.match(one)]
        fixed = self._fixed_by_params()

        def command(values: Mapping[str, Any]) -> str:
            own = (f"{k}={_literal(v)}" for k, v in values.items())
            return shlex.join(["python", sys.argv[0], *typed, *fixed, *own])

        return command


def _plain(config: Any) -> Any:
    return OmegaConf.to_container(config, resolve=False)


def _outcome(job: Any) -> float | Exception | None:
    """The dev score that a job returned, or what ended it."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # Hydra says there what is said better here
            value: float | None = job.return_value
    except Exception as error:
        return error
    return value


def _distribution(override: Override) -> Any:
    """The values of a sweep override as an Optuna distribution.

    Raises `DataError` for what Optuna has none for.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    from khabar.document import DataError

    sweep, said = override.value(), override.input_line
    low: Any
    high: Any
    if isinstance(sweep, IntervalSweep):
        low, high = sweep.start, sweep.end
        whole = isinstance(low, int) and isinstance(high, int)
        return (IntDistribution if whole else FloatDistribution)(low, high, log="log" in sweep.tags)
    if isinstance(sweep, RangeSweep):
        values: list[Any] = list(sweep.range())
        step: Any = sweep.step
        whole = all(isinstance(value, int) for value in values)
        if len(values) < 2:
            raise DataError(f"{said}: expected a range of at least two values")
        return (IntDistribution if whole else FloatDistribution)(values[0], values[-1], step=step)
    if not isinstance(sweep, ChoiceSweep):
        raise DataError(f"{said}: expected interval, range or choice")
    choices: list[Any] = [one.text if isinstance(one, QuotedString) else one for one in override.sweep_iterator()]
    if any(not isinstance(one, bool | int | float | str | None) for one in choices):
        raise DataError(f"{said}: expected choices that are numbers, words, true, false or null")
    return CategoricalDistribution(choices)


def _literal(value: Any) -> str:
    """A value as Hydra's command line reads it."""
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_literal(one)}' for key, one in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_literal, value))}]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, str):
        word = re.fullmatch(r"(?!(?:null|true|false|nan|inf)$)[A-Za-z_][\w./-]*", value, re.I | re.A)
        return value if word else QuotedString(value, Quote.single).with_quotes()
    return repr(value)
