"""The manifests for Kubernetes agree with each other, with the image and with the settings.

tests/platform has them checked against Kubernetes' own schemas.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.models.pipeline.loading import load_pipeline
from millrace.schemas import SettingsError
from millrace.streams.api.pages import Pages
from millrace.streams.settings import Settings, read_settings, unknown_settings
from millrace.streams.worker.supervisor import STOP_SECONDS

Manifests = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def manifests(repository: Path) -> Manifests:
    """Give kind, and of config maps the name too, to manifest."""
    documents = [
        document
        for path in sorted((repository / "deploy/kubernetes").glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
    ]
    names = [each["kind"] for each in documents]
    maps = "ConfigMap"
    return {
        f"{kind}/{document['metadata']['name']}" if kind == maps else kind: document
        for kind, document in zip(names, documents, strict=True)
    }


@pytest.fixture(scope="module")
def pod(manifests: Manifests) -> dict[str, Any]:
    """Give the pod's specification."""
    found: dict[str, Any] = manifests["StatefulSet"]["spec"]["template"]["spec"]
    return found


@pytest.fixture(scope="module")
def worker(pod: dict[str, Any]) -> dict[str, Any]:
    """Give the only container."""
    (found,) = pod["containers"]
    return found  # type: ignore[no-any-return]


@pytest.fixture
def mounted(
    manifests: Manifests, worker: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Set the environment of a pod, its files under a folder; the secrets are filled in."""
    secrets = tmp_path / "secrets"
    _mount(secrets, dict.fromkeys(manifests["Secret"]["stringData"], "a secret of 32 characters"))
    _mount(tmp_path / "pipelines", manifests["ConfigMap/payments-pipeline"]["data"])
    for name, value in manifests["ConfigMap/payments"]["data"].items():
        monkeypatch.setenv(name, value.replace("/pipelines", f"{tmp_path}/pipelines"))
    for each in worker["env"]:
        value = each.get("value", "payments-0")
        monkeypatch.setenv(each["name"], value.replace("/run/secrets/millrace", str(secrets)))
    return tmp_path


def _mount(folder: Path, data: dict[str, str]) -> None:
    """Write files as Kubernetes does: links into a folder that an update replaces."""
    version = folder / "..2026_11_27"
    version.mkdir(parents=True)
    (folder / "..data").symlink_to(version.name)
    for name, text in data.items():
        (version / name).write_text(text)
        (folder / name).symlink_to(f"..data/{name}")


def test_all_kinds_are_there(manifests: Manifests) -> None:
    """And nothing else."""
    assert set(manifests) == {
        *("ConfigMap/payments", "ConfigMap/payments-pipeline", "Secret", "Service"),
        *("StatefulSet", "PodDisruptionBudget", "ServiceMonitor"),
    }


@pytest.mark.usefixtures("mounted")
def test_a_pod_has_settings_that_exist_and_hold(
    manifests: Manifests, worker: dict[str, Any]
) -> None:
    """Each variable is a setting, and together with the secrets they make valid ones."""
    names = [*manifests["ConfigMap/payments"]["data"], *(each["name"] for each in worker["env"])]
    assert unknown_settings(names) == {}
    settings = read_settings()
    assert settings.state_key.get_secret_value() == "a secret of 32 characters"
    assert settings.kafka["sasl.password"] == "a secret of 32 characters"
    assert settings.group_instance_id == "payments-0"
    assert not settings.is_embedded


@pytest.mark.usefixtures("mounted")
def test_the_pipeline_is_one() -> None:
    """It loads from where it is mounted, with its schema beside it."""
    pipeline = load_pipeline(read_settings().pipeline)
    assert (pipeline.name, pipeline.scope) == ("payments", "key")


@pytest.mark.parametrize("secret", ["state_key", "kafka_password"])
def test_a_secret_that_is_not_filled_in_is_refused(
    secret: str, manifests: Manifests, mounted: Path
) -> None:
    """The example holds no secret that everybody knows, and no worker starts with it."""
    assert manifests["Secret"]["stringData"][secret] == ""
    (mounted / "secrets" / secret).write_text("")
    with pytest.raises(SettingsError, match="which is empty"):
        read_settings()


def test_each_worker_has_a_name_that_stays(worker: dict[str, Any]) -> None:
    """Static membership goes by the name of the pod, which comes back under it."""
    (given,) = [each for each in worker["env"] if each["name"] == "MILLRACE_GROUP_INSTANCE_ID"]
    assert given["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"


def test_as_many_workers_are_expected_as_there_are(manifests: Manifests) -> None:
    """The alert fires when one of the replicas is missing."""
    data = manifests["ConfigMap/payments"]["data"]
    replicas = manifests["StatefulSet"]["spec"]["replicas"]
    assert int(data["MILLRACE_EXPECTED_WORKERS"]) == replicas <= int(data["MILLRACE_PARTITIONS"])


def test_everything_selects_the_pods(manifests: Manifests) -> None:
    """By the labels that they have; the monitor selects the service by its own."""
    spec = manifests["StatefulSet"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
    budget = manifests["PodDisruptionBudget"]["spec"]
    for selector in (spec["selector"], spread["labelSelector"], budget["selector"]):
        assert selector["matchLabels"] == labels
    service = manifests["Service"]
    assert service["spec"]["selector"] == labels
    assert manifests["ServiceMonitor"]["spec"]["selector"] == {
        "matchLabels": service["metadata"]["labels"]
    }
    assert spec["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert {each["metadata"]["name"] for each in manifests.values()} == {
        "payments",
        "payments-pipeline",
    }


def test_probes_and_monitor_ask_pages_that_there_are(
    manifests: Manifests, worker: dict[str, Any]
) -> None:
    """A pod is restarted only where its supervisor does not answer: not while Kafka is away."""
    (port,) = worker["ports"]
    (of_service,) = manifests["Service"]["spec"]["ports"]
    (scraped,) = manifests["ServiceMonitor"]["spec"]["endpoints"]
    live, ready = (worker[each]["httpGet"] for each in ("livenessProbe", "readinessProbe"))
    assert live == {"path": "/livez", "port": port["name"]}
    assert ready == {"path": "/readyz", "port": port["name"]}
    assert {*scraped} <= {"port", "path", "interval"}  # of the operator's Endpoint
    assert (scraped["port"], of_service["targetPort"]) == (of_service["name"], port["name"])
    pages = Pages(list)
    for path in (live["path"], ready["path"], scraped["path"]):
        assert pages.answer(path).status != 404
    assert port["containerPort"] == of_service["port"] == Settings().web_port


def test_the_pod_has_no_privileges(
    pod: dict[str, Any], worker: dict[str, Any], repository: Path
) -> None:
    """It is the image's user, its root is read-only, and it has no token of the cluster."""
    user = re.search(r"^USER (\d+):(\d+)$", (repository / "Dockerfile").read_text(), re.M)
    assert user is not None
    context = pod["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (int(user[1]), int(user[2]))
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert worker["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False


def test_variables_of_services_do_not_become_settings(pod: dict[str, Any]) -> None:
    """A service called millrace-web would set MILLRACE_WEB_PORT."""
    assert pod["enableServiceLinks"] is False


def test_what_is_mounted_is_there_and_only_tmp_can_be_written(
    manifests: Manifests, pod: dict[str, Any], worker: dict[str, Any]
) -> None:
    """Each mount has its volume, and each volume what it is made of."""
    volumes = {each.pop("name"): each for each in map(dict, pod["volumes"])}
    mounts = {each["name"]: each for each in worker["volumeMounts"]}
    assert volumes.keys() == mounts.keys()
    assert [each["mountPath"] for each in mounts.values() if not each.get("readOnly")] == ["/tmp"]
    assert f"ConfigMap/{volumes['pipeline']['configMap']['name']}" in manifests
    assert volumes["secrets"]["secret"]["secretName"] == manifests["Secret"]["metadata"]["name"]
    assert worker["envFrom"] == [{"configMapRef": {"name": "payments"}}]


def test_a_worker_has_time_to_stop(pod: dict[str, Any]) -> None:
    """The supervisor kills what does not stop within 15 s; Kubernetes waits for longer."""
    assert pod["terminationGracePeriodSeconds"] >= 2 * STOP_SECONDS
