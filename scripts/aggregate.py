"""Average over seeds and folds: ``python scripts/aggregate.py reports='["runs/NAME/seed-*/evaluation-test"]'``."""

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from khabar.aggregate import aggregate
from khabar.document import DataError


@hydra.main(version_base="1.3", config_path="../configs", config_name="aggregate")
def main(config: DictConfig) -> None:
    """Compose the configuration and average the reports that it names."""
    if OmegaConf.is_missing(config, "reports"):
        raise SystemExit("error: say what to average: reports='[\"runs/NAME/seed-*/evaluation-test\"]'")
    try:
        aggregate(**instantiate(config, _convert_="all"))
    except DataError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
