"""Average the weights of models of one ancestor: ``python scripts/average.py models='[A,B,C]' output=FOLDER``."""

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig

from khabar.average import average
from khabar.document import DataError


@hydra.main(version_base="1.3", config_path="../configs", config_name="average")
def main(config: DictConfig) -> None:
    """Compose the configuration and average the models that it names."""
    run = {str(name): value for name, value in config.items() if name not in ("data", "models")}
    try:
        average(models=list(config.models), corpus=instantiate(config.data.corpus), **run)
    except DataError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
