"""Send a model to the model hub: ``python scripts/push.py checkpoint=MODEL repository=OWNER/NAME dry_run=true``."""

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig

from khabar.document import DataError
from khabar.push import push


@hydra.main(version_base="1.3", config_path="../configs", config_name="push")
def main(config: DictConfig) -> None:
    """Compose the configuration and send the folder that it names."""
    try:
        push(**instantiate(config, _convert_="all"))
    except DataError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
