"""The card of a model: use, data, scores with intervals, limits and licences, and what the model hub reads of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from khabar.contract import COMPACT
from khabar.corpus import Corpus
from khabar.document import DataError, Document
from khabar.features import ARGUMENTS, CLITICS, ENTITIES, TRIGGERS, Reader
from khabar.metrics import Scorer, pairs
from khabar.significance import interval

__all__ = [
    "CARD",
    "UNKNOWN",
    "card",
    "front_matter",
    "inherited",
    "intervals",
    "mean_card",
    "metadata",
    "origin",
    "with_front_matter",
]

CARD = "README.md"
UNKNOWN = "unknown"  # which the hub knows as a licence too
_CODE = "Apache-2.0"
_KINDS = {
    "entities": "entities: span and type",
    "entities_untyped": "entities: span",
    "TI": "triggers: span",
    "TC": "triggers: span and type",
    "AI": "arguments: event type and span",
    "AC": "arguments: event type, span and role",
    "AI+": "arguments: trigger, event type and span",
    "AC+": "arguments: trigger, event type, span and role",
}
_HEADLINES = ("entities", "TC", "AC")
_ANSWERS = {
    ENTITIES: "finds the names of entities",
    TRIGGERS: "finds the words that report events",
    ARGUMENTS: "finds who and what takes part in each event",
    CLITICS: "parts conjunctions and prepositions from the names they are written onto",
}
_TAGS = {ENTITIES: "named-entity-recognition", TRIGGERS: "event-detection", ARGUMENTS: "event-extraction"}


def front_matter(path: Path) -> dict[str, Any]:
    """The YAML block at the head of a card; empty where there is no card or no block.

    Raises `DataError` where the block is not a mapping in YAML.
    """
    if not path.is_file():
        return {}
    head, begins, rest = path.read_text(encoding="utf-8").partition("---\n")
    block, ends, _ = rest.partition("\n---")
    if head or not begins or not ends:
        return {}
    try:
        found = yaml.safe_load(block)
    except yaml.YAMLError as error:
        raise DataError(f"{path}: the block at its head is not YAML: {error}") from None
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected keys and values in the block at its head, got {type(found).__name__}")
    return found


def with_front_matter(block: Mapping[str, Any], text: str) -> str:
    """A card: the block, then the text."""
    return f"---\n{yaml.safe_dump(dict(block), allow_unicode=True, sort_keys=False, width=120)}---\n\n{text}"


def inherited(folder: Path) -> dict[str, str]:
    """``license``, and ``base_model`` where it has a name on the hub, as the card of a folder says."""
    found = front_matter(folder / CARD)
    base = {"base_model": found["base_model"]} if isinstance(found.get("base_model"), str) else {}
    return {**base, "license": str(found.get("license", UNKNOWN))}


def origin(encoder: str | None) -> dict[str, str]:
    """The same of an encoder as `khabar.tagger.Tagger.create` takes it; of a name on the hub no licence is known."""
    if encoder is None:
        return {"license": UNKNOWN}
    folder = COMPACT if encoder == "compact" else Path(encoder)
    return inherited(folder) if folder.is_dir() else {"base_model": encoder, "license": UNKNOWN}


def metadata(heads: Sequence[str], base: Mapping[str, str]) -> dict[str, Any]:
    """What the hub reads of any model of ours: language, licence, tags, and what it was made from."""
    named = {"base_model": base["base_model"]} if "base_model" in base else {}
    return {
        "language": ["ar"],
        "license": base.get("license", UNKNOWN),
        "library_name": "khabar",
        "pipeline_tag": "token-classification",
        "tags": ["khabar", "token-classification", "arabic", "news", *(_TAGS[head] for head in heads if head in _TAGS)],
        **named,
    }


def intervals(gold: Iterable[Document], predicted: Iterable[Document]) -> dict[str, list[float]]:
    """The 95 % bootstrap interval of the micro F1 of each kind of unit, documents resampled, 0 to 1."""
    scorer, rows = Scorer(), dict[str, list[tuple[int, int, int]]]()
    for pair in pairs(gold, predicted):
        for kind, row in scorer.add(*pair).items():
            rows.setdefault(kind, []).append(row)
    return {kind: [round(end, 4) for end in interval(counts)] for kind, counts in rows.items()}


def card(run: Mapping[str, Any], corpora: Sequence[Corpus], reader: Reader) -> str:
    """The card of a trained model.

    Args:
        run: what the run keeps as ``run.json``; the encoder's name is in its ``config``.
        corpora: what it learned from; dev is the first one's.
        reader: how the model reads.

    """
    encoder = (run["config"].get("model") or {}).get("encoder")
    base = origin(encoder)
    parts = {
        "Data": _data(run, corpora),
        "Training": _training(run, encoder, base),
        "Scores": _scores(run),
        "Limits": f"{_limits(reader)}\n- One run with one seed: how much another seed changes is not said here.",
        "Licence": _licences(corpora, base),
    }
    return _assembled(reader, base, _results(run, corpora[0]), parts)


def mean_card(members: Sequence[Path], corpus: Corpus, run: Mapping[str, Any], reader: Reader) -> str:
    """The card of the mean of models (`khabar.average`): ``run`` has ``dev`` and ``dev_intervals`` of ``split``."""
    base = inherited(members[0])
    said = f"""The mean of the weights of {len(members)} models of one ancestor; their cards say what they learned from.
Temperatures and thresholds were fitted on {run["split"]} of {corpus.name} (`{corpus.hash[:16]}`)."""
    parts = {"Data": said, "Scores": _scores(run), "Limits": _limits(reader), "Licence": _licences([corpus], base)}
    return _assembled(reader, base, _results(run, corpus), parts)


def _assembled(
    reader: Reader, base: Mapping[str, str], results: Sequence[Mapping[str, Any]], parts: Mapping[str, str]
) -> str:
    title = f"{reader.ontology.name}: {', '.join(reader.heads)}"
    block = metadata(reader.heads, base)
    if results:
        block["model-index"] = [{"name": title, "results": list(results)}]
    intended = f"""To find {_listed(_types(reader))} in written Modern Standard Arabic, above all in news: for
search, statistics and research, and as a first pass that people correct. Not to decide about persons: labels are wrong
as often as the scores below say, and the report of an event is no proof of it."""
    every = {"How to use": _use(reader), "Intended use": intended, **parts}
    head = f"A khabar model for Arabic news: it {_listed([_ANSWERS[head] for head in reader.heads])}."
    sections = "\n\n".join(f"## {name}\n\n{text}" for name, text in every.items())
    return with_front_matter(block, f"# {title}\n\n{head}\n\n{sections}")


def _use(reader: Reader) -> str:
    plain = next((head for head in (ENTITIES, TRIGGERS) if head in reader.heads), None)
    alone = f"""

With `transformers` alone one head can be used, after
`python scripts/export.py format=transformers head={plain} checkpoint=FOLDER output=OUTPUT`; the card in OUTPUT says
what khabar does beyond it."""
    return f"""```python
import khabar

document = khabar.load("FOLDER").label("قُتل جنديان في غارة على دير الزور فجر الأحد.")
```

or `python -m khabar.predict ARTICLES --model FOLDER --output FILE.jsonl`. Texts are given as they are: khabar
preprocesses them (`{reader.preprocessing}`), reads windows of {reader.length} subwords, and returns offsets into the
text as it was given.{alone if plain else ""}"""


def _listed(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)


def _types(reader: Reader) -> list[str]:
    named, told = sorted(reader.ontology.entities), sorted(reader.ontology.events)
    found = [f"entities ({', '.join(named)})"] if ENTITIES in reader.heads else []
    return [*found, f"events ({', '.join(told)})"] if TRIGGERS in reader.heads else found


def _results(run: Mapping[str, Any], corpus: Corpus) -> list[dict[str, Any]]:
    """The scores on dev as the hub's ``model-index`` has them."""
    split = run.get("split", "dev")
    return [
        {
            "task": {"type": "token-classification", "name": _KINDS[kind]},
            "dataset": {"type": corpus.name, "name": corpus.name, "split": split, "revision": corpus.hash[:16]},
            "metrics": [
                {
                    "type": name,
                    "name": f"{kind}, strict micro {name} on {split}",
                    "value": round(found["micro"][name], 4),
                }
                for name in ("precision", "recall", "f1")
            ],
        }
        for kind, found in run["dev"].items()
        if kind in _HEADLINES and "micro" in found
    ]


def _data(run: Mapping[str, Any], corpora: Sequence[Corpus]) -> str:
    rows = []
    for place, part in enumerate(corpora):
        for split, found in part.manifest["splits"].items():
            use = {"train": "learned"}.get(split, "not read")
            if split == "dev" and not place:
                use = "epoch, temperatures and thresholds chosen" if run["dev"] else "learned"
            counts = " | ".join(f"{found[key]:,}" for key in ("documents", "words", "entities", "events", "arguments"))
            rows.append(f"| {part.name} | {split} | {use} | {counts} | `{found['sha256'][:16]}` |")
    hashes = ", ".join(f"{part.name} `{part.hash[:16]}`" for part in corpora)
    limit = run["config"].get("limit")
    table = "\n".join(
        [
            "| corpus | split | use | documents | words | entities | events | arguments | sha256 |",
            f"|{9 * '---|'}",
            *rows,
        ]
    )
    return f"""{table}

{run["train"]["documents"]} documents were learned, {run["train"]["words"]} words an epoch, \
each counted in every input that teaches it.\
{f" Of each split the first {limit} documents were taken." if limit else ""} Hashes over all splits: {hashes}."""


def _training(run: Mapping[str, Any], encoder: str | None, base: Mapping[str, str]) -> str:
    name = base.get("base_model") or (Path(encoder).name if encoder else UNKNOWN)
    made = f"the one that ships with khabar, made from `{name}`" if encoder == "compact" else f"`{name}`"
    sizes, versions = run["parameters"], run["versions"]
    peft = run["config"].get("peft")
    adapters = f" as low-rank adapters (r = {peft['r']}, alpha = {peft['alpha']}) that were merged" if peft else ""
    return f"""Encoder: {made}. {sizes["all"] / 1e6:.1f} M parameters, of which {sizes["trained"] / 1e6:.1f} M were
trained{adapters}. {run["epochs"]:g} epochs, seed {run["seed"]}, {run["precision"]}, {run["seconds"]:.0f} s on
{run["device"]} ({run["words_per_second"]:g} words/s, evaluation on dev included). khabar {versions["khabar"]}, torch
{versions["torch"]}, transformers {versions["transformers"]}. The folder of the run holds the configuration, data
hashes, library versions and the history (`run.json`)."""


def _scores(run: Mapping[str, Any]) -> str:
    found = {kind: part["micro"] for kind, part in run["dev"].items() if "micro" in part}
    if not found:
        return "No split was held out: score the model on a test split with `scripts/evaluate.py`."
    rows = ["| unit | what is right | P | R | F1 | 95 % | in gold |", "|---|---|---|---|---|---|---|"]
    for kind, micro in found.items():
        low, high = run["dev_intervals"][kind]
        numbers = " | ".join(f"{micro[name]:.3f}" for name in ("precision", "recall", "f1"))
        rows.append(f"| {kind} | {_KINDS[kind]} | {numbers} | {low:.3f} to {high:.3f} | {micro['gold']:,} |")
    table = "\n".join(rows)
    split = run.get("split", "dev")
    return f"""Strict micro scores on {split}; arguments are those of predicted triggers. The 95 % intervals are
bootstrap intervals, documents resampled. Epoch, temperatures and thresholds were chosen on it, which makes these scores
optimistic: score a test split with `scripts/evaluate.py`.

{table}"""


def _limits(reader: Reader) -> str:
    found = [
        "It knows the types that are named above, as its training data understands them, and no others.",
        "Mentions of one layer never overlap: of names within names one is found.",
        "Other genres, dialects and times than those of its training data were not tested.",
        "It inherits the biases of the encoder and of the articles it learned from.",
    ]
    if CLITICS not in reader.heads:
        found.append("Mentions are whole written words: a name behind a conjunction or preposition includes it.")
    if ARGUMENTS in reader.heads:
        found.append(f"An argument is looked for in the {reader.argument_length} subwords around its trigger.")
    return "\n".join(f"- {line}" for line in found)


def _licences(corpora: Sequence[Corpus], base: Mapping[str, str]) -> str:
    encoder = f"the encoder ({base['base_model']})" if "base_model" in base else "the encoder"
    rows = [("what", "licence"), ("---", "---"), ("khabar, the code", _CODE), (encoder, base["license"])]
    rows += [(f"the corpus {part.name}", part.licence or UNKNOWN) for part in corpora]
    table = "\n".join(f"| {what} | {licence} |" for what, licence in rows)
    return f"""{table}

The licence at the head of this card is the encoder's. Where one is unknown, find out before the model is passed on:
weights may be bound by the terms of what they learned from."""
