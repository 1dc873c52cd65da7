"""Where a run is followed while it trains: TensorBoard, MLflow, Weights & Biases or Trackio, through the `Trainer`.

The `Trainer` reports losses and dev scores by itself. What it does not know is here: the configuration and the
hashes of the data go to the tracker when a run begins, the last scores, the model card and the pages when it ends; a
run that broke is marked so, and one that is resumed goes on in the tracker too. Nothing goes to a network that was
not asked for: Weights & Biases writes to the run's folder unless ``WANDB_MODE`` says otherwise, MLflow goes where
``MLFLOW_TRACKING_URI`` says, Trackio stays on this machine, and what they would tell their makers is switched off.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from khabar.checkpoints import SEAL
from khabar.document import DataError
from khabar.formats import lines

__all__ = ["TRACKERS", "Tracker", "flat", "track"]

log = logging.getLogger(__name__)
_LONGEST = 500  # characters of a parameter's value


class Tracker:
    """Follows nothing but what the `Trainer` reports to ``report_to`` by itself.

    Args:
        output: the run's folder.
        parameters: of the run, by dotted name.

    """

    name = "none"
    report_to: tuple[str, ...] = ()
    callbacks: tuple[TrainerCallback, ...] = ()

    def __init__(self, output: Path, parameters: Mapping[str, Any]) -> None:
        self.output = output
        self.parameters = dict(parameters)
        self.title = "/".join(part for part in output.parts[-3:] if part not in ("runs", output.anchor))
        # Only what a checkpoint is resumed from is the same run: the id lies and goes with the checkpoints.
        self._kept = output / "checkpoints" / "tracker.json"

    @property
    def arguments(self) -> dict[str, Any]:
        """Fields of `transformers.TrainingArguments`."""
        return {"report_to": list(self.report_to), "run_name": self.title}

    @contextmanager
    def following(self) -> Iterator[None]:
        """While the model is fitted. What is raised within ends the tracker's run as failed.

        Raises `DataError` where the tracker cannot be begun, as when its server is not there.
        """
        if os.environ.get("RANK", "0") != "0":
            yield  # the first of several processes reports for all
            return
        try:
            self.begin()
        except Exception as error:  # of any kind, by whatever library
            raise DataError(f"tracker={self.name}: {error}") from error
        try:
            yield
        except BaseException:
            self.end(failed=True)
            raise

    def finish(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        """Give the last scores and files and end the tracker's run; a tracker that fails now is a warning."""
        if os.environ.get("RANK", "0") != "0":
            return
        try:
            self.give(scores, [file for file in files if file.is_file()])
            self.end(failed=False)
        except Exception as error:  # of any kind, by whatever library: the run itself is there and whole
            log.warning("%s did not take the last scores and files of %s: %s", self.name, self.output, error)

    def begin(self) -> None:
        """Open the tracker's run, or the one that an interrupted run left."""

    def give(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        """Add what is there at the end."""

    def end(self, failed: bool) -> None:
        """Close the tracker's run."""

    def keep(self, name: str) -> None:
        """Remember the tracker's name of this run for when it is resumed."""
        lines.write(self._kept, [json.dumps({"tracker": self.name, "run": name})])

    @property
    def kept(self) -> str | None:
        """The tracker's name of the run that is resumed; none of a new one."""
        if not any(self._kept.parent.glob(f"checkpoint-*/{SEAL}")):
            return None
        try:
            found = json.loads(self._kept.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return str(found["run"]) if found.get("tracker") == self.name else None


class _TensorBoard(Tracker):
    name = "tensorboard"
    report_to = ("tensorboard",)

    @property
    def arguments(self) -> dict[str, Any]:
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(self.output / "tensorboard")  # read when the Trainer is made
        return super().arguments

    def give(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        make: Any = SummaryWriter  # untyped in torch
        with make(log_dir=str(self.output / "tensorboard")) as writer:
            writer.add_text("parameters", "\n".join(f"    {k}: {v}" for k, v in self.parameters.items()))
            for file in files:
                if file.suffix == ".md":
                    writer.add_text("model card", file.read_text(encoding="utf-8"))


class _MLflow(Tracker):
    name = "mlflow"
    report_to = ("mlflow",)

    def begin(self) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        import mlflow

        mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "khabar"))
        # The Trainer's callback reports to the run that it finds open.
        run = mlflow.start_run(run_id=self.kept, run_name=self.title, nested=mlflow.active_run() is not None)
        self.keep(run.info.run_id)
        mlflow.log_params(self.parameters)

    def give(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        import mlflow

        mlflow.log_metrics(dict(scores))
        for file in files:
            place = file.parent.relative_to(self.output).as_posix()
            mlflow.log_artifact(str(file), None if place == "." else place)

    def end(self, failed: bool) -> None:
        import mlflow

        mlflow.end_run("FAILED" if failed else "FINISHED")


class _WeightsAndBiases(Tracker):
    name = "wandb"
    report_to = ("wandb",)

    def begin(self) -> None:
        os.environ.setdefault("WANDB_MODE", "offline")
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "khabar"),
            name=self.title,
            id=self.kept,
            resume="allow",
            dir=str(self.output),
            config=self.parameters,
        )
        self.keep(run.id)

    def give(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        import wandb

        run: Any = wandb.run
        run.summary.update(dict(scores))
        for file in files:
            run.save(str(file), base_path=str(self.output), policy="now")

    def end(self, failed: bool) -> None:
        import wandb

        if wandb.run is not None:
            if wandb.run.offline:
                log.info("to send this run to Weights & Biases: wandb sync %s", Path(wandb.run.dir).parent)
            wandb.finish(exit_code=int(failed))


class _Trackio(Tracker):
    name = "trackio"
    report_to = ("trackio",)

    def __init__(self, output: Path, parameters: Mapping[str, Any]) -> None:
        super().__init__(output, parameters)
        self.title = self.kept or f"{self.title}-{secrets.token_hex(2)}"  # a run is known by its name alone
        self.project = os.environ.get("TRACKIO_PROJECT", "khabar")
        self.callbacks = (_Config(self.parameters),)

    @property
    def arguments(self) -> dict[str, Any]:
        # The Trainer's callback opens Trackio's run by itself, and goes on with one of the same name.
        return {**super().arguments, "project": self.project, "trackio_static_space_id": False}

    def begin(self) -> None:
        self.keep(self.title)

    def give(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        import trackio

        # The Trainer's callback has closed the run. Opened again, its configuration takes the place of the first.
        trackio.init(project=self.project, name=self.title, resume="allow", config=self.parameters)
        trackio.log(dict(scores))
        for file in files:
            if file.suffix == ".md":
                trackio.log({"model card": trackio.Markdown(file.read_text(encoding="utf-8"))})

    def end(self, failed: bool) -> None:
        import trackio

        finish: Any = trackio.finish  # untyped
        finish()


class _Config(TrainerCallback):
    """Adds the parameters of a run to what the Trainer's callback has told Trackio, and takes that over."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = parameters

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            import trackio

            trackio.config.update(self.parameters)
            # Names with a low line in front are Trackio's own, and refused from others.
            self.parameters.update({name: value for name, value in trackio.config.items() if name[0] != "_"})


TRACKERS: Mapping[str, type[Tracker]] = {
    one.name: one for one in (Tracker, _TensorBoard, _MLflow, _WeightsAndBiases, _Trackio)
}


def track(name: str, output: Path, config: Mapping[str, Any], data: Mapping[str, str]) -> Tracker:
    """What follows a run in ``output`` whose configuration and hashes of data are these.

    Raises `DataError` where there is no such tracker, or its package is missing.
    """
    if name not in TRACKERS:
        raise DataError(f"tracker: expected one of {', '.join(TRACKERS)}, got {name!r}")
    if name != "none":
        try:
            version(name)  # not found by importing: a folder named wandb is a package too
        except PackageNotFoundError:
            raise DataError(f"tracker={name} needs {name}: pip install 'khabar[{name}]'") from None
    parameters = {f"config.{key}": value for key, value in flat(config).items()}
    return TRACKERS[name](output, parameters | {f"data.{path}": digest for path, digest in data.items()})


def flat(config: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """The leaves of a configuration by dotted name; a list, and what is long, as text."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{above}{name}.")
        else:
            simple = value is None or isinstance(value, bool | int | float)
            found[f"{above}{name}"] = value if simple else str(value)[:_LONGEST]
    return found
