"""Score a model on a split (``data=anercorp checkpoint=runs/…/model``), or files (``gold='[…]' predicted='[…]'``)."""

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig

from khabar.document import DataError
from khabar.encoder import ModelError
from khabar.evaluate import compare, evaluate


@hydra.main(version_base="1.3", config_path="../configs", config_name="evaluate")
def main(config: DictConfig) -> None:
    """Compose the configuration and score what it names."""
    files, run = (
        ("gold", "predicted", "gold_triggers"),
        ("checkpoint", "split", "output", "device", "batch_tokens"),
    )
    try:
        if config.predicted:
            compare(output=config.output, labels=config.get("labels"), **{name: list(config[name]) for name in files})
        elif config.checkpoint:
            evaluate(corpus=instantiate(config.data.corpus), **{name: config[name] for name in run})
        else:
            raise DataError("nothing to score: give checkpoint=FOLDER, or gold='[…]' and predicted='[…]'")
    except (DataError, ModelError) as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
