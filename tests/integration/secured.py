"""A Kafka that asks who one is: TLS with a CA of its own, SASL PLAIN, and an authorizer.

Whoever comes by the plain listener is a super user, so that a test can give and take rights.
"""

from __future__ import annotations

import json
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from dev.kafka import HOST, KafkaBroker, free_port

USER, PASSWORD = "anna", "s3cret-0815"
PRINCIPAL = f"User:{USER}"


class Right(NamedTuple):
    """What somebody may do, as `docs/security.md` lists it.

    Attributes
    ----------
    resource
        topic, group, transactional_id or cluster.
    name
        Of the resource, or, with a `*` at its end, what its names begin with.
    operation
        Read, Write, ...
    """

    resource: str
    name: str
    operation: str

    def binding(self) -> AclBinding:
        kind = "broker" if self.resource == "cluster" else self.resource
        return AclBinding(
            ResourceType[kind.upper().replace(" ", "_")],
            self.name.removesuffix("*"),
            ResourcePatternType.PREFIXED
            if self.name.endswith("*")
            else ResourcePatternType.LITERAL,
            PRINCIPAL,
            "*",
            AclOperation[self.operation.upper()],
            AclPermissionType.ALLOW,
        )


class SecuredKafka:
    """A broker with listeners for every way to come in.

    Parameters
    ----------
    directory
        For its data and certificates.
    """

    def __init__(self, directory: Path) -> None:
        self.certificates = Certificates(directory / "certificates")
        self.plain = f"{HOST}:{free_port()}"
        self.sasl = f"{HOST}:{free_port()}"
        self.ssl = f"{HOST}:{free_port()}"
        self.sasl_ssl = f"{HOST}:{free_port()}"
        self.expired = f"{HOST}:{free_port()}"
        self.oauth = f"{HOST}:{free_port()}"
        self.mutual = f"{HOST}:{free_port()}"
        port = int(self.plain.rpartition(":")[2])
        self.broker = KafkaBroker(directory, port, self._properties())

    def start(self) -> None:
        self.broker.start()
        self._admin = AdminClient({"bootstrap.servers": self.plain})

    def stop(self) -> None:
        self.broker.stop()

    def allow(self, rights: Iterable[Right]) -> None:
        """Give the user exactly these rights, and wait until the broker knows them."""
        bindings = {each.binding() for each in rights}
        everything = AclBindingFilter(
            ResourceType.ANY,
            None,
            ResourcePatternType.ANY,
            PRINCIPAL,
            None,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        for deleted in self._admin.delete_acls([everything]).values():
            deleted.result(30)
        for created in self._admin.create_acls([*bindings]).values():
            created.result(30)
        deadline = time.monotonic() + 30
        while {*self._admin.describe_acls(everything).result(30)} != bindings:
            assert time.monotonic() < deadline, "the broker does not take the rights over"
            time.sleep(0.05)

    def _properties(self) -> dict[str, str]:
        listeners = {
            "PLAINTEXT": self.plain,
            "SASL": self.sasl,
            "TLS": self.ssl,
            "SASLTLS": self.sasl_ssl,
            "OLD": self.expired,
            "OAUTH": self.oauth,
            "MUTUAL": self.mutual,
        }
        shown = ",".join(f"{name}://{address}" for name, address in listeners.items())
        controller = f"{HOST}:{free_port()}"
        login = (
            "org.apache.kafka.common.security.plain.PlainLoginModule"
            f' required user_{USER}="{PASSWORD}";'
        )
        return {
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"{shown},CONTROLLER://{controller}",
            "advertised.listeners": shown,
            "listener.security.protocol.map": (
                "PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,SASLTLS:SASL_SSL,OLD:SSL,"
                "OAUTH:SASL_PLAINTEXT,MUTUAL:SSL,CONTROLLER:PLAINTEXT"
            ),
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
            "listener.name.oauth.oauthbearer.sasl.jaas.config": (
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;"
            ),
            "listener.name.sasl.plain.sasl.jaas.config": login,
            "listener.name.sasltls.plain.sasl.jaas.config": login,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.certificates.broker),
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.mutual.ssl.truststore.type": "PEM",
            "listener.name.mutual.ssl.truststore.location": str(self.certificates.ca),
            "listener.name.old.ssl.keystore.location": str(self.certificates.expired),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }


def token() -> tuple[str, float]:
    """Return a token for the user that is not signed, which this broker takes."""
    now = time.time()
    claims = {"sub": USER, "iat": now, "exp": now + 300}
    parts = (json.dumps(each).encode() for each in ({"alg": "none"}, claims))
    return ".".join(
        [*(urlsafe_b64encode(each).rstrip(b"=").decode() for each in parts), ""]
    ), now + 300


def no_token() -> tuple[str, float]:
    """Fail as a function does whose server does not answer."""
    raise TimeoutError("the token server is away")


class Certificates:
    """A CA, and what it has signed, as PEM files.

    Attributes
    ----------
    ca, other_ca
        The CA that has signed, and one that has not.
    broker, expired
        Key and certificate of the broker, for 127.0.0.1; of the latter, the time has passed.
    client
        Those of a client.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self.ca, self.other_ca = directory / "ca.pem", directory / "other.pem"
        for ca in (self.ca, self.other_ca):
            self._openssl(
                *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", f"/CN={ca.stem}", "-keyout", f"{ca.stem}.key", "-out", ca.name),
            )
        self.broker = self._signed("broker")
        self.expired = self._signed("expired", days=-1)
        self.client = self._signed("client")

    def _signed(self, name: str, days: int = 2) -> Path:
        self._openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *(
                "-addext",
                f"subjectAltName=IP:{HOST}",
                "-keyout",
                f"{name}.key",
                "-out",
                f"{name}.csr",
            ),
        )
        self._openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-copy_extensions", "copy", "-days", str(days), "-out", f"{name}.crt"),
        )
        pair = self._directory / f"{name}.pem"
        parts = (self._directory / f"{name}{each}" for each in (".key", ".crt"))
        pair.write_text("".join(each.read_text() for each in parts))
        return pair

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments], cwd=self._directory, check=True, capture_output=True, text=True
        )
