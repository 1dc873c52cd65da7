"""Count what a corpus holds: ``python scripts/survey.py``."""

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig

from khabar.document import DataError


@hydra.main(version_base="1.3", config_path="../configs", config_name="survey")
def main(config: DictConfig) -> None:
    """Print the numbers of the corpora of the configuration, and write them as JSON."""
    run = instantiate(config.survey, _partial_=True, _convert_="all")  # called here, so that its errors stay its own
    try:
        run()
    except DataError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
