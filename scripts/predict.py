"""Label articles: ``python scripts/predict.py checkpoint=runs/demo/model sources='[seeds]' output=labelled.jsonl``."""

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig

from khabar.document import DataError
from khabar.predict import REFUSED, predict


@hydra.main(version_base="1.3", config_path="../configs", config_name="predict")
def main(config: DictConfig) -> None:
    """Compose the configuration and label the sources."""
    try:
        report = predict(**instantiate(config, _convert_="all"))
    except DataError as error:
        raise SystemExit(f"error: {error}") from None
    if report["refused"]:
        raise SystemExit(REFUSED)


if __name__ == "__main__":
    main()
