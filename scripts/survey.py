"""Count what a corpus holds: ``python scripts/survey.py``."""

import hydra
from hydra.utils import call
from omegaconf import DictConfig

from khabar.document import DataError


@hydra.main(version_base="1.3", config_path="../configs", config_name="survey")
def main(config: DictConfig) -> None:
    """Print the numbers of the corpora of the configuration, and write them as JSON."""
    try:
        call(config.survey)
    except DataError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
