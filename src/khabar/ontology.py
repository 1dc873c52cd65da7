"""What may be annotated: entity types, event types, and the roles each event type admits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from khabar.document import DataError, Document

__all__ = ["EventType", "Ontology"]


@dataclass(frozen=True, slots=True)
class EventType:
    """The Arabic gloss of an event type, read by the model beside the trigger, and its roles."""

    gloss: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ontology:
    """The types of a corpus or a model: entity types with their glosses, event types with their roles."""

    name: str
    entities: Mapping[str, str] = field(hash=False, default_factory=dict)
    events: Mapping[str, EventType] = field(hash=False, default_factory=dict)

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role of every event type, in order of first appearance."""
        return tuple(dict.fromkeys(role for event in self.events.values() for role in event.roles))

    def check(self, document: Document) -> Document:
        """The document itself; raises `DataError` for a type or role that the ontology does not have."""
        for mention in document.entities or ():
            if mention.label not in self.entities:
                raise DataError(
                    f"document {document.id!r}: entity type {mention.label!r} at {mention.start} is not in "
                    f"ontology {self.name!r}, expected one of {sorted(self.entities)}"
                )
        for event in document.events or ():
            if event.type not in self.events:
                raise DataError(
                    f"document {document.id!r}: event type {event.type!r} at {event.trigger.start} is not in "
                    f"ontology {self.name!r}, expected one of {sorted(self.events)}"
                )
            for argument in event.arguments:
                if argument.label not in self.events[event.type].roles:
                    raise DataError(
                        f"document {document.id!r}: {event.type} at {event.trigger.start} admits no role "
                        f"{argument.label!r}, expected one of {list(self.events[event.type].roles)}"
                    )
        return document

    def to_json(self) -> dict[str, Any]:
        """Plain data, as `from_json` takes it."""
        events = {name: {"gloss": e.gloss, "roles": list(e.roles)} for name, e in self.events.items()}
        return {"name": self.name, "entities": dict(self.entities), "events": events}

    @classmethod
    def from_json(
        cls, name: str, entities: Mapping[str, str] | None = None, events: Mapping[str, Any] | None = None
    ) -> Ontology:
        """Read plain data: ``entities`` maps type to gloss, ``events`` maps type to gloss and roles.

        Raises `DataError` where an entity type lacks a gloss, or an event type a gloss or its list of roles.
        """
        for key, types_ in (("entities", entities), ("events", events)):
            if types_ is not None and not isinstance(types_, Mapping):
                raise DataError(f"ontology {name!r}: expected {key} as a mapping, got {types_!r}")
        for label, entity in (entities or {}).items():
            if not isinstance(label, str) or not isinstance(entity, str):
                raise DataError(f"ontology {name!r}: entity type {label!r} needs a gloss, got {entity!r}")
        types: dict[str, EventType] = {}
        for label, event in (events or {}).items():
            gloss, roles = (event.get("gloss"), event.get("roles")) if isinstance(event, Mapping) else (None, None)
            if not isinstance(gloss, str) or not isinstance(roles, list | tuple):
                raise DataError(f"ontology {name!r}: event type {label!r} needs a gloss and a list of roles")
            types[label] = EventType(gloss, tuple(roles))
        return cls(name, dict(entities or {}), types)

    @classmethod
    def load(cls, path: Path) -> Ontology:
        """Read an ontology file (YAML); keys that begin with an underscore belong to Hydra.

        Raises `DataError` that names the file where it is not YAML or not an ontology.
        """
        try:
            record = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: not YAML: {error}") from None
        if not isinstance(record, Mapping):
            raise DataError(f"{path}: expected a mapping with name, entities, events")
        try:
            return cls.from_json(**{k: v for k, v in record.items() if not str(k).startswith("_")})
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        except TypeError as error:
            raise DataError(f"{path}: expected the keys name, entities, events ({error})") from None
