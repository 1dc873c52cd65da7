"""Serve a model over HTTP: ``python scripts/serve.py checkpoint=src/khabar/compact``, then http://127.0.0.1:8000."""

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig

from khabar.document import DataError
from khabar.serve import serve


@hydra.main(version_base="1.3", config_path="../configs", config_name="serve")
def main(config: DictConfig) -> None:
    """Compose the configuration and serve until told to stop."""
    try:
        serve(**instantiate(config, _convert_="all"))
    except DataError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
