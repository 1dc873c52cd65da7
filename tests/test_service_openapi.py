"""«اسأل ما شئت»: the service keeps what its OpenAPI says, whatever it is asked, and says in it all that it does."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
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
def description(untrained: Tagger) -> Any:
    """A running service's own OpenAPI."""
    with running(untrained, Limits(characters=2_000, body=100_000)) as port:
        yield schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")


schema = schemathesis.pytest.from_fixture("description")


@schema.parametrize()
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_it_answers_as_it_says(case: Case) -> None:
    case.call_and_validate(checks=CHECKS, timeout=60)


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
