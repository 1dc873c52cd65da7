"""Check a corpus: ``python scripts/check_data.py data=ahdath``; exits with 1 where an error is found."""

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from khabar.check import Folder, check
from khabar.document import DataError


@hydra.main(version_base="1.3", config_path="../configs", config_name="check_data")
def main(config: DictConfig) -> None:
    """Compose the configuration and check the corpus, or the folder of JSONL files, that it names."""
    refused: tuple[type[Exception], ...] = (DataError,)
    if config.get("model"):  # else nothing here needs torch
        from khabar.contract import ModelError

        refused = (DataError, ModelError)
    rest = [str(name) for name in config if name not in ("data", "folder", "ontology")]
    parameters = instantiate(OmegaConf.masked_copy(config, rest), _convert_="all")
    try:
        ontology = instantiate(config.get("ontology"))
        corpus = Folder(config.folder, ontology) if config.folder else instantiate(config.data.corpus)
        report = check(corpus, **parameters)
    except refused as error:
        raise SystemExit(f"error: {error}") from None
    if report["errors"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
