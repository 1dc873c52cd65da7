"""Convert documents: ``python scripts/convert.py from=jsonl to=label_studio source=a.jsonl output=tasks.json``."""

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from khabar.convert import FORMATS, convert
from khabar.document import DataError


@hydra.main(version_base="1.3", config_path="../configs", config_name="convert")
def main(config: DictConfig) -> None:
    """Compose the configuration and convert; relative paths are relative to the current folder."""
    if missing := OmegaConf.missing_keys(config):
        raise SystemExit(f"error: say {', '.join(sorted(missing))}; the formats are {', '.join(FORMATS)}")
    options = dict(instantiate(config, _convert_="all"))
    names = {"source_format": options.pop("from"), "target_format": options.pop("to")}  # from is a word of Python
    try:
        convert(**names, **options)
    except DataError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
