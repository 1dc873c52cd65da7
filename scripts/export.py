"""Write a model for another runtime: ``python scripts/export.py checkpoint=MODEL output=FOLDER quantize=int8``."""

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig

from khabar.document import DataError
from khabar.export import export


@hydra.main(version_base="1.3", config_path="../configs", config_name="export")
def main(config: DictConfig) -> None:
    """Compose the configuration and export the model that it names."""
    run = {str(name): value for name, value in config.items() if name != "data"}
    try:
        export(corpus=instantiate(config.data.corpus), **run)
    except DataError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
