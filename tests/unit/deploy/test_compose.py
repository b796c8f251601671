"""`docker compose up` brings up what it says, from pinned images and files that are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.models.pipeline.loading import load_pipeline
from millrace.streams.settings import Settings, read_settings

_DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")


def _expanded(text: str) -> str:
    """Put in the default of each variable, as compose does where none is set."""
    return _DEFAULT.sub(r"\1", text)


def _mounts(service: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (source, target) of each volume of a service."""
    volumes = [_expanded(each).split(":") for each in service.get("volumes", [])]
    return [(source, target) for source, target, *_ in volumes]


def test_the_stack_is_complete(compose: dict[str, Any]) -> None:
    """A broker, a worker, Prometheus and Grafana, and nothing else."""
    assert set(compose["services"]) == {"kafka", "worker", "prometheus", "grafana"}


def test_images_are_pinned(compose: dict[str, Any]) -> None:
    """Every image that is not built here has a tag with a full version."""
    for name, service in compose["services"].items():
        assert "build" in service or re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name


def test_the_broker_is_the_version_that_tests_run_against(
    compose: dict[str, Any], repository: Path
) -> None:
    """The image of Kafka and the jars of dev/pom.xml are one version."""
    version = compose["services"]["kafka"]["image"].rpartition(":")[2]
    assert f"<version>{version}</version>" in (repository / "dev" / "pom.xml").read_text()


def test_every_service_has_a_health_check(compose: dict[str, Any]) -> None:
    """A health check that gives up in time, and a restart after a crash.

    The worker has that of its image.
    """
    for name, service in compose["services"].items():
        assert service["restart"] == "unless-stopped", name
        if "build" in service:
            continue
        check = service["healthcheck"]
        assert check["test"][0] == "CMD", name
        assert {"interval", "timeout", "retries", "start_period"} <= set(check), name


def test_workers_can_be_scaled(compose: dict[str, Any]) -> None:
    """`--scale worker=N`: no fixed name or port that a second one would ask for in vain."""
    worker = compose["services"]["worker"]
    assert not {"container_name", "hostname", "network_mode"} & set(worker)
    (published,) = worker["ports"]
    first, last = map(int, published.split(":")[1].split("-"))
    assert last - first + 1 >= 10
    assert not any(volume in compose["volumes"] for volume, _ in _mounts(worker))


def test_the_worker_may_write_nothing_but_temporary_files(compose: dict[str, Any]) -> None:
    """Its root is read-only, it has no capabilities, and can get none."""
    worker = compose["services"]["worker"]
    assert worker["read_only"] is True
    assert worker["tmpfs"] == ["/tmp"]
    assert worker["cap_drop"] == ["ALL"]
    assert worker["security_opt"] == ["no-new-privileges:true"]


def test_services_wait_for_what_they_need(compose: dict[str, Any]) -> None:
    """The worker starts once Kafka answers; every dependency is a service and has a condition."""
    services = compose["services"]
    assert services["worker"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    for service in services.values():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services
            assert how["condition"] in {"service_healthy", "service_started"}


def test_what_is_mounted_exists(compose: dict[str, Any], repository: Path) -> None:
    """Each path is in the repository, and each volume is declared."""
    for service in compose["services"].values():
        for source, _ in _mounts(service):
            there = (repository / source).exists() if source.startswith(".") else False
            assert there or source in compose["volumes"], source


def test_ports_are_open_to_this_machine_only(compose: dict[str, Any]) -> None:
    """Nothing listens beyond loopback: the stack has neither TLS nor passwords."""
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_worker_gets_settings_that_exist_and_hold(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each MILLRACE_ variable is a setting, and with the defaults they make valid settings."""
    environment = dict(compose["services"]["worker"]["environment"])
    assert environment.pop("MILLRACE_STATE_KEY").startswith("${MILLRACE_STATE_KEY:?")
    for name, value in environment.items():
        assert name.removeprefix("MILLRACE_").lower() in Settings.model_fields, name
        monkeypatch.setenv(name, _expanded(value))
    settings = read_settings()
    assert settings.broker == "kafka:19092"
    assert not settings.is_embedded
    assert load_pipeline(settings.pipeline).name == "loans"


def test_the_key_that_signs_state_has_no_default(compose: dict[str, Any], repository: Path) -> None:
    """Compose refuses to start without one, and the image has none made up."""
    text = (repository / "docker-compose.yml").read_text()
    assert re.findall(r"\$\{MILLRACE_STATE_KEY(.)(.)", text) == [(":", "?")]
    assert "secret" in compose["services"]["worker"]["environment"]["MILLRACE_STATE_KEY"]
    assert "ENV container=" in (repository / "Dockerfile").read_text()


def test_the_worker_finds_the_broker_where_it_is_advertised(compose: dict[str, Any]) -> None:
    """The address that the worker asks is one that Kafka sends its clients back to."""
    services = compose["services"]
    advertised = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert f"INTERNAL://{services['worker']['environment']['MILLRACE_BROKER']}" in advertised
    assert "EXTERNAL://127.0.0.1:9092" in advertised


def test_prometheus_scrapes_the_workers(compose: dict[str, Any], repository: Path) -> None:
    """It asks the service's name for every worker, on the port that they listen on."""
    config = yaml.safe_load((repository / "deploy/prometheus/prometheus.yml").read_text())
    (scrape,) = config["scrape_configs"]
    (discovery,) = scrape["dns_sd_configs"]
    worker = compose["services"]["worker"]
    assert discovery["names"] == ["worker"]
    assert str(discovery["port"]) == worker["environment"]["MILLRACE_WEB_PORT"]
    assert worker["ports"] == [f"127.0.0.1:6066-6075:{discovery['port']}"]
    targets = {target for _, target in _mounts(compose["services"]["prometheus"])}
    assert set(config["rule_files"]) <= targets


def test_grafana_finds_prometheus_and_the_dashboard(
    compose: dict[str, Any], repository: Path
) -> None:
    """What is provisioned names a service of the stack and a folder that is mounted."""
    provisioning = repository / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    (provider,) = yaml.safe_load((provisioning / "dashboards/millrace.yml").read_text())[
        "providers"
    ]
    targets = {target for _, target in _mounts(compose["services"]["grafana"])}
    assert source["url"] == "http://prometheus:9090"
    assert provider["options"]["path"] in targets
