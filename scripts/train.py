"""Fine-tune: ``python scripts/train.py data=anercorp task=entities model=compact``."""

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from khabar.corpus import Corpus
from khabar.document import DataError
from khabar.tagger import ModelError
from khabar.train import train


@hydra.main(version_base="1.3", config_path="../configs", config_name="train")
def main(config: DictConfig) -> None:
    """Compose the configuration, instantiate it and train."""
    record = OmegaConf.to_container(config, resolve=False)
    parameters = {name: value for name, value in config.items() if name not in ("name", "data", "source")}
    parameters = instantiate(parameters, _convert_="all")
    corpus = instantiate(config.data.corpus)
    try:
        train(**parameters | {"corpus": corpus, "also": [Corpus(path) for path in config.also], "record": record})
    except (DataError, ModelError) as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
