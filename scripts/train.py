"""Fine-tune: ``python scripts/train.py data=anercorp task=entities model=compact``."""

import logging
import os
import sys
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from khabar.corpus import Corpus
from khabar.document import DataError
from khabar.sweeps import objective
from khabar.train import train


@hydra.main(version_base="1.3", config_path="../configs", config_name="train")
def main(config: DictConfig) -> float | None:
    """Compose the configuration, instantiate it and train; the dev score is what a sweep goes by."""
    OmegaConf.resolve(config.data.corpus)  # its path may be named after what is taken away next
    with open_dict(config):
        config.data.pop("prepare", None)  # how the corpus was made is said in its manifest
    OmegaConf.resolve(config)
    record: Any = OmegaConf.to_container(config)
    rest = [str(name) for name in config if name not in ("data", "also", "name")]  # the name is in output
    parameters = instantiate(OmegaConf.masked_copy(config, rest), _convert_="all")
    corpus, also = instantiate(config.data.corpus), [Corpus(path) for path in config.also]
    try:
        return objective(train(corpus=corpus, also=also, record=record, **parameters))
    except DataError as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise  # to the sweeper, which may go on with others
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    if int(os.environ.get("RANK", "0")):  # of several processes the first alone logs and writes the configuration
        sys.argv += ["hydra.output_subdir=null", "hydra/job_logging=disabled", "hydra/hydra_logging=disabled"]
        logging.disable(logging.WARNING)
    main()
