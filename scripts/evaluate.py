"""Score a model on a split (``data=anercorp checkpoint=runs/…/model``), or files (``gold='[…]' predicted='[…]'``)."""

from typing import Any

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig

from khabar.document import DataError
from khabar.evaluate import evaluate, score_files, score_tags

FILES = ("gold", "predicted", "gold_triggers", "uncalibrated", "train")
MODEL = ("checkpoint", "split", "device", "batch_tokens", "calibration")
REPORT = ("output", "draws", "examples")


@hydra.main(version_base="1.3", config_path="../configs", config_name="evaluate")
def main(config: DictConfig) -> None:
    """Compose the configuration and score what it names."""
    files, model, report = ({name: config[name] for name in names} for names in (FILES, MODEL, REPORT))
    try:
        if (config.tags or config.gold or config.predicted) and not (config.gold and config.predicted):
            raise DataError("to score files, give both gold='[…]' and predicted='[…]'")
        if config.predicted and not config.output:
            raise DataError("to score files, say where the report goes: output=FOLDER")
        if config.tags:
            score_tags(list(config.gold), list(config.predicted), config.output)
        elif config.predicted:
            paths: dict[str, Any] = {name: list(value or ()) for name, value in files.items()}
            score_files(**paths, **report, labels=config.get("labels"))
        elif config.checkpoint:
            evaluate(**model, **report, corpus=instantiate(config.data.corpus))
        else:
            raise DataError("nothing to score: give checkpoint=FOLDER, or gold='[…]' and predicted='[…]'")
    except DataError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
