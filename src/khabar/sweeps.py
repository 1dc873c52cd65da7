"""A search for settings: an Optuna study whose trials are training runs, kept in a database so that it goes on.

The study asks for values, something else launches training with them (the sweeper in ``scripts/hydra_plugins``, with
any of Hydra's launchers), and the dev score of each run is told to the study. A run reports its dev score after each
epoch and is pruned where others were better. Needs the extra ``khabar[sweep]``. Nothing here reads a test split.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from khabar.document import DataError
from khabar.summaries import write_sweep

__all__ = ["Report", "Sweep", "objective", "require"]

log = logging.getLogger(__name__)
Outcome = float | Exception | None
_STARTS = 3  # of a trial whose process dies before it ends


def objective(model: Path) -> float | None:
    """The dev score that a finished run is judged by; ``model`` is what `khabar.train.train` returned."""
    run = json.loads((model.parent / "run.json").read_text(encoding="utf-8"))
    value: float | None = run.get("objective", {}).get("value")  # which runs of older versions have not
    return value


class Report(TrainerCallback):
    """Reports the dev score of each epoch to a trial, and ends the run where the study prunes it.

    Args:
        storage: the study's database, as an SQLAlchemy URL.
        study: its name.
        number: of the trial.
        objective: which dev score; the one that the run is judged by.
        pruner: an Optuna pruner; without one nothing is pruned.

    """

    def __init__(self, storage: str, study: str, number: int, objective: str, pruner: Any = None) -> None:
        optuna = require()
        self.objective = objective
        pruner = pruner or optuna.pruners.NopPruner()
        held = optuna.load_study(study_name=study, storage=_storage(storage), pruner=pruner)
        # A trial is asked for in another process, which tells its end; this one only reports to it.
        frozen = held.get_trials(deepcopy=False)[number]
        self.trial = optuna.trial.Trial(held, frozen._trial_id)
        self.reported = set(frozen.intermediate_values)

    def on_evaluate(self, args: Any, state: Any, control: Any, **said: Any) -> None:
        """Report; raises `optuna.TrialPruned`."""
        epoch = int(state.epoch)  # with eval_steps, the first score behind it is that of the epoch
        if epoch and epoch not in self.reported:  # by this trial before it was interrupted
            self.trial.report(said["metrics"][f"eval_{self.objective}"], step=epoch)
            self.reported.add(epoch)
        if self.trial.should_prune():
            raise require().TrialPruned(f"pruned after epoch {epoch}")


class Sweep:
    """A study in a folder: ``study.db``, ``trials/NUMBER`` with the run of each, ``plots/`` and ``summary.html``.

    Args:
        folder: of the sweep; the trials of a killed sweep go on there.
        storage: the database, as an SQLAlchemy URL.
        name: of the study.
        space: parameter to Optuna distribution.
        settings: what a trial is beside its values; a study goes on only with equal ones.
        sampler: makes an Optuna sampler from a seed.
        seed: of the values that are asked for.

    Raises `DataError` where Optuna is missing, and where the folder holds a study of another search.

    """

    def __init__(
        self,
        folder: Path,
        storage: str,
        name: str,
        space: Mapping[str, Any],
        settings: Mapping[str, Any],
        sampler: Callable[..., Any],
        seed: int,
    ) -> None:
        self.optuna = require()
        self.folder, self.name, self.space = folder, name, dict(space)
        self.sampler, self.seed = sampler, seed
        folder.mkdir(parents=True, exist_ok=True)
        self.storage = _storage(storage)
        self.study = self.optuna.create_study(
            study_name=name, storage=self.storage, direction="maximize", load_if_exists=True
        )
        distributions = {key: self.optuna.distributions.distribution_to_json(one) for key, one in space.items()}
        self._check({"space": distributions, "settings": json.loads(json.dumps(settings))})

    def _check(self, wanted: dict[str, Any]) -> None:
        held = self.study.user_attrs.get("search")
        if held is None:
            self.study.set_user_attr("search", wanted)
        elif held != wanted:
            parts = {key: (held[key], wanted[key]) for key in wanted}
            keys = [key for old, new in parts.values() for key in {**old, **new} if old.get(key) != new.get(key)]
            raise DataError(
                f"{self.folder} holds a study with other {keys}; give another hydra.sweeper.folder=…, or remove it"
            )

    def run(
        self,
        launch: Callable[[Mapping[int, Mapping[str, Any]]], Sequence[Outcome]],
        trials: int,
        together: int,
        command: Callable[[Mapping[str, Any]], str],
        keep_models: bool = False,
    ) -> str:
        """Launch trials until the study holds so many that have ended; those that a killed sweep left go on first.

        Args:
            launch: runs trials (number to values) at the same time, and returns for each the dev score, or the
                exception that ended it.
            trials: how many; failed and pruned ones count.
            together: how many are launched at a time.
            command: values to the command that trains with them.
            keep_models: whether model folders of trials stay that are not the best.

        Returns the command of the best trial. Raises `DataError` where another process runs this sweep, and where no
        trial has a score.

        """
        with self._alone():
            left = self._unfinished()
            while (open_ := trials - len(self._ended())) > 0:
                if self._ended():
                    self.write(command)  # for who looks at it while the next trial runs
                batch = [*left[: min(together, open_)]]
                left = left[len(batch) :]
                while len(batch) < min(together, open_):
                    batch.append(self._ask())
                self._start(batch)
                try:
                    outcomes = launch({number: self._trial(number).params for number in batch})
                except Exception as error:  # a trial's process died, and with it the launcher
                    if not any((self.folder / "trials" / str(number)).exists() for number in batch):
                        raise  # nothing was started
                    log.warning("trials %s were cut off: %s", ", ".join(map(str, batch)), error)
                    left = self._unfinished()
                    continue
                for number, outcome in zip(batch, outcomes, strict=True):
                    self._tell(number, outcome)
                self._tidy(keep_models)
            self.write(command)
            best = self.best
        states = [trial["state"] for trial in self.trials()]
        log.info("%d trials: %s", len(states), ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states)))
        if best is None:
            errors = [trial["error"] for trial in self.trials() if trial["error"]]
            raise DataError(f"{self.folder}: no trial has a score; the first said: {(errors or ['nothing'])[0]}")
        log.info("best: trial %d, dev %.4f; all of them in %s", best.number, best.value, self.folder / "summary.html")
        return command(best.params)

    @property
    def best(self) -> Any:
        """The trial with the highest score of those that ran to their end, or none."""
        whole = [t for t in self.study.get_trials(deepcopy=False) if t.state == self.optuna.trial.TrialState.COMPLETE]
        return max(whole, key=lambda trial: (trial.value, -trial.number), default=None)

    def trials(self) -> list[dict[str, Any]]:
        """Every trial, as `khabar.curves.study` draws it, with its ``error``, or none."""
        return [
            {
                "number": trial.number,
                "state": trial.state.name.lower(),
                "value": trial.value,
                "steps": dict(trial.intermediate_values),
                "params": dict(trial.params),
                "error": trial.user_attrs.get("error"),
            }
            for trial in self.study.get_trials(deepcopy=False)
        ]

    def write(self, command: Callable[[Mapping[str, Any]], str]) -> None:
        """Write the page and the plots of what there is so far."""
        best = self.best
        write_sweep(
            self.folder,
            self.name,
            self.trials(),
            {name: _said(one) for name, one in self.space.items()},
            command(best.params) if best else None,
            [name for name, one in self.space.items() if getattr(one, "log", False)],
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes out; a trial that has not ended is then one whose process is gone."""
        with (self.folder / "lock").open("w") as file:
            try:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except ImportError:  # where there are no such locks
                pass
            except BlockingIOError:
                raise DataError(f"{self.folder}: another process runs this sweep") from None
            yield

    def _trial(self, number: int) -> Any:
        return self.study.get_trials(deepcopy=False)[number]

    def _ended(self) -> list[Any]:
        return [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.is_finished()]

    def _unfinished(self) -> list[int]:
        """Trials that a killed sweep left. They have their values and the checkpoints of their runs, and go on."""
        found = []
        for trial in self.study.get_trials(states=[self.optuna.trial.TrialState.RUNNING]):
            if trial.params.keys() != self.space.keys():
                self._tell(trial.number, DataError("killed before it had its values"))
            elif trial.user_attrs.get("starts", 0) >= _STARTS:
                self._tell(trial.number, DataError(f"its process died {_STARTS} times"))
            else:
                found.append(trial.number)
        if found:
            log.info("trials that were interrupted and go on: %s", ", ".join(map(str, found)))
        return found

    def _ask(self) -> int:
        # A sampler of its own for each trial: one that was made once would begin its random numbers again when a
        # sweep goes on, and ask for the first trials' values a second time.
        self.study.sampler = self.sampler(seed=self.seed * 10_007 + len(self.study.get_trials(deepcopy=False)))
        number: int = self.study.ask(self.space).number
        return number

    def _start(self, batch: Sequence[int]) -> None:
        for number in batch:
            trial = self._trial(number)
            self.storage.set_trial_user_attr(trial._trial_id, "starts", trial.user_attrs.get("starts", 0) + 1)

    def _tell(self, number: int, outcome: Outcome) -> None:
        state = self.optuna.trial.TrialState
        if isinstance(outcome, self.optuna.TrialPruned):
            self.study.tell(number, state=state.PRUNED)
            shutil.rmtree(self.folder / "trials" / str(number) / "checkpoints", ignore_errors=True)
            log.info("trial %d: %s", number, outcome)
            return
        if outcome is None or (isinstance(outcome, float) and not math.isfinite(outcome)):
            outcome = DataError(f"expected a dev score, got {outcome}")
        if isinstance(outcome, Exception):
            said = f"{type(outcome).__name__}: {outcome}"[:2000]
            self.storage.set_trial_user_attr(self._trial(number)._trial_id, "error", said)
            self.study.tell(number, state=state.FAIL)
            log.warning("trial %d failed: %s", number, said)
            return
        self.study.tell(number, outcome)
        log.info("trial %d: dev %.4f", number, outcome)

    def _tidy(self, keep_models: bool) -> None:
        best = self.best
        for trial in self._ended() if best is not None and not keep_models else ():
            if trial.number != best.number:
                shutil.rmtree(self.folder / "trials" / str(trial.number) / "model", ignore_errors=True)


def require() -> Any:
    """Optuna, quiet but for warnings. Raises `DataError` where it is missing."""
    try:
        import optuna
    except ImportError as error:
        raise DataError(f"a sweep needs {error.name}: pip install 'khabar[sweep]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _storage(url: str) -> Any:
    """The database at ``url``; where it is a file, several processes take turns."""
    waits = {"connect_args": {"timeout": 120}} if url.startswith("sqlite:") else {}
    return require().storages.RDBStorage(url, engine_kwargs=waits)


def _said(distribution: Any) -> str:
    """The values of a distribution, as people read them."""
    if hasattr(distribution, "choices"):
        return ", ".join(map(str, distribution.choices))
    step = f" in steps of {distribution.step:g}" if distribution.step not in (None, 1) else ""
    return f"{distribution.low:g} to {distribution.high:g}{step}{', logarithmic' if distribution.log else ''}"
