"""The manifests are what Kubernetes takes: each field is known, and of its type.

The schemas are those that the package kubernetes-validate brings with it; it asks no server.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.platform

VERSIONS = ("1.28", "1.37")
FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
_TEXT = {"type": "string"}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    """Return the schema of an object that has these fields and no others."""
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }


_LABELS = {"type": "object", "additionalProperties": _TEXT}
_ENDPOINT = _object(["port"], port=_TEXT, path=_TEXT, interval={"pattern": r"^\d+(ms|s|m)$"})
SERVICE_MONITOR = _object(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "monitoring.coreos.com/v1"},
    kind={"const": "ServiceMonitor"},
    metadata=_object(["name"], name=_TEXT, labels=_LABELS),
    spec=_object(
        ["selector", "endpoints"],
        selector=_object(["matchLabels"], matchLabels=_LABELS),
        endpoints={"type": "array", "items": _ENDPOINT, "minItems": 1},
    ),
)
"""What is used of the Prometheus Operator's kind, which is no part of Kubernetes: the names are
those of its definition in the operator's repository, servicemonitors in example/
prometheus-operator-crd."""


@pytest.fixture(scope="module")
def validator() -> Any:
    """Give the package, or skip, and say why."""
    reason = "NOT TESTED WITH KUBERNETES' SCHEMAS: `make test-platform` installs them"
    return pytest.importorskip("kubernetes_validate", reason=reason)


def _documents() -> Iterator[Any]:
    for path in sorted(FOLDER.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            name = f"{document['kind']}-{document['metadata']['name']}"
            yield pytest.param(document, id=name)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", [*_documents()])
def test_kubernetes_takes_a_manifest(
    document: dict[str, Any], version: str, validator: Any
) -> None:
    """Nothing is missing, nothing is misspelt: unknown fields are errors."""
    if document["kind"] == "ServiceMonitor":
        import jsonschema  # which kubernetes-validate requires

        jsonschema.validate(document, SERVICE_MONITOR)
    else:
        assert validator.validate(document, version, strict=True) == version


def test_a_misspelt_field_is_found(validator: Any) -> None:
    """The schemas are strict."""
    (document,) = yaml.safe_load_all((FOLDER / "statefulset.yaml").read_text())
    document["spec"]["template"]["spec"]["runAsRoot"] = True
    with pytest.raises(validator.ValidationError):
        validator.validate(document, VERSIONS[-1], strict=True)
