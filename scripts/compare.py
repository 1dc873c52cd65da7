"""Compare systems: ``python scripts/compare.py systems='{bare: [FOLDER, …], tuned: [FOLDER, …]}'``."""

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from khabar.compare import compare
from khabar.document import DataError


@hydra.main(version_base="1.3", config_path="../configs", config_name="compare")
def main(config: DictConfig) -> None:
    """Compose the configuration and compare the evaluations that it names."""
    if OmegaConf.is_missing(config, "systems"):
        raise SystemExit("error: say what to compare: systems='[FOLDER, FOLDER]' or systems='{NAME: [FOLDER, …], …}'")
    try:
        compare(**instantiate(config, _convert_="all"))
    except DataError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
