"""Prepare a corpus: ``python scripts/prepare_data.py data=anercorp source=FOLDER``."""

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from khabar.document import DataError


@hydra.main(version_base="1.3", config_path="../configs", config_name="prepare_data")
def main(config: DictConfig) -> None:
    """Prepare the corpus that ``data`` describes; relative paths are relative to the current folder."""
    if OmegaConf.is_missing(config, "source"):
        raise SystemExit("error: say where the corpus is: source=FOLDER")
    prepare = instantiate(config.data.prepare, _partial_=True)  # called here, so that its errors stay its own
    try:
        prepare()
    except DataError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
