"""«اسأل ما شئت»: the service keeps what its OpenAPI says, whatever it is asked, and says in it all that it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from khabar.limits import Limits
from khabar.service import app
from khabar.tagger import Tagger
from serving import running

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
]


@pytest.fixture(scope="module")
def operations(untrained: Tagger) -> Iterator[dict[str, APIOperation[Any, Any, Any, Any]]]:
    """What a running service's own OpenAPI offers."""
    with running(untrained, Limits(characters=2_000, body=100_000)) as port:
        schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
        found = [operation.ok() for operation in schema.get_all_operations() if isinstance(operation, Ok)]
        yield {operation.label: operation for operation in found}


# Not through the decorators of schemathesis: its plugin reads what newer pytests keep to themselves.
@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("label", ["POST /label", "GET /health", "GET /model", "GET /"])
def test_it_answers_as_it_says(
    label: str, mode: GenerationMode, operations: dict[str, APIOperation[Any, Any, Any, Any]]
) -> None:
    assert len(operations) == 4
    if mode.is_negative and label != "POST /label":
        pytest.skip("takes nothing that could be wrong")

    @given(operations[label].as_strategy(generation_mode=mode))
    @settings(
        max_examples=40 if label == "POST /label" else 3, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    def ask(case: Case[Any]) -> None:
        case.call_and_validate(checks=CHECKS, timeout=60)

    ask()


def test_it_says_all_that_it_does(untrained: Tagger) -> None:
    found = app(untrained).openapi()
    assert set(found["paths"]) == {"/", "/label", "/health", "/model"}
    answers = found["paths"]["/label"]["post"]["responses"]
    assert set(answers) == {"200", "400", "408", "413", "422", "429", "500", "503"}
    assert set(answers["200"]["content"]) == {"application/json", "text/html"}
    schemas = found["components"]["schemas"]
    assert "HTTPValidationError" not in schemas
    for name in ("Article", "Entity", "Argument", "Refusal"):
        assert all(field.get("examples") for field in schemas[name]["properties"].values() if "title" in field), name
    assert "قصفت" in str(schemas["Article"])
    assert "100,000 characters" in found["info"]["description"]


def test_its_examples_are_answered(untrained: Tagger) -> None:
    fields = app(untrained).openapi()["components"]["schemas"]["Article"]["properties"]
    article = {name: field["examples"][0] for name, field in fields.items()}
    with running(untrained) as port:
        answer = httpx.post(f"http://127.0.0.1:{port}/label", json={"articles": [article]}, timeout=60, trust_env=False)
    assert [one["id"] for one in answer.json()["articles"]] == [article["id"]]
