"""What the labels of documents are called when people read them, in Arabic and in English.

Types have their Arabic glosses in an ontology. Roles are spread over the questions that a report of an event answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from khabar.ontology import Ontology

__all__ = ["QUESTIONS", "ROLES", "question", "role", "shipped"]

# Question -> how it is asked in Arabic and in English, in the order of an event's card.
QUESTIONS: Mapping[str, tuple[str, str]] = {
    "who": ("مَن", "who"),
    "whom": ("بحقّ مَن", "whom"),
    "what": ("ماذا", "what"),
    "with": ("بماذا", "with what"),
    "where": ("أين", "where"),
    "when": ("متى", "when"),
    "more": ("أيضًا", "more"),
}
# Role -> the question it answers, and its Arabic name. A role that is not here answers "more" under its own name.
ROLES: Mapping[str, tuple[str, str]] = {
    "Attacker": ("who", "المهاجم"),
    "Agent": ("who", "الفاعل"),
    "Entity": ("who", "الطرف"),
    "Party": ("who", "الطرف"),
    "Prosecutor": ("who", "جهة الاتهام"),
    "Adjudicator": ("who", "جهة الحكم"),
    "Giver": ("who", "الدافع"),
    "Seller": ("who", "البائع"),
    "Source": ("who", "المصدر"),
    "Target": ("whom", "الهدف"),
    "Victim": ("whom", "الضحية"),
    "Person": ("whom", "الشخص"),
    "Defendant": ("whom", "المتهم"),
    "Recipient": ("whom", "المتلقي"),
    "Buyer": ("whom", "المشتري"),
    "Artifact": ("what", "المنقول"),
    "Money": ("what", "المبلغ"),
    "Crime": ("what", "التهمة"),
    "Sentence": ("what", "العقوبة"),
    "Position": ("what", "المنصب"),
    "Instrument": ("with", "الأداة"),
    "Vehicle": ("with", "المركبة"),
    "Place": ("where", "المكان"),
    "Origin": ("where", "المنطلق"),
    "Destination": ("where", "الوجهة"),
    "Time": ("when", "الزمن"),
}


def question(label: str) -> str:
    """The question that a role answers, a key of `QUESTIONS`."""
    return ROLES.get(label, ("more", ""))[0]


def role(label: str) -> str:
    """The Arabic name of a role, or its label where it has none."""
    return ROLES.get(label, ("", label))[1]


@cache
def shipped() -> Ontology:
    """The ontology of the labeller that ships with the package, read without the libraries that a model needs."""
    contract = Path(__file__).parent / "compact" / "khabar.json"
    return Ontology.from_json(**json.loads(contract.read_text(encoding="utf-8"))["ontology"])
