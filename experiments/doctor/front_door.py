"""What the coordinator's front door tells whoever connects: its certificate, its clock, what it lets through."""

import base64
import json
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPSConnection
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from experiments.doctor import Finding, failure, ok, warning
from experiments.doctor.machine import lifetime
from fl.errors import ConfigError

_PATIENCE_SECONDS = 10.0
_LARGEST_SKEW, _NOTABLE_SKEW = 300.0, 30.0
"""Flower refuses what is signed by a clock that differs by more than the first."""
_UNREGISTERED, _NO_INTERVAL = 2004, 2003
"""Flower's codes for a key that is not registered, and for a registered one whose heartbeat has no valid interval."""


@dataclass(frozen=True)
class Answer:
    """An answer of the front door: its status, content and time (by its own clock), and how long it took."""

    status: int
    content: bytes
    time: datetime | None
    seconds: float


@dataclass(frozen=True)
class FrontDoor:
    """The front door at HOST:PORT, whose certificate these roots sign."""

    address: str
    authority: Path

    def chain(self) -> Finding:
        """Its certificate is signed by the authority, is for its name, and does not end soon."""
        try:
            with closing(self._connected()) as connection:
                held = connection.sock.getpeercert()
        except ssl.SSLCertVerificationError as error:
            return failure(
                f"The certificate of {self.address} is not accepted: {error.verify_message}. Compare {self.authority} "
                "and the name with what the coordinator's people have told you."
            )
        end = datetime.fromtimestamp(ssl.cert_time_to_seconds(held["notAfter"]), UTC)
        return lifetime(f"The certificate of {self.address} is signed by {self.authority}", end)

    def clock(self) -> Finding:
        """This machine's clock and the coordinator's agree, as far as Flower wants it."""
        answer = self.ask("activate-node")
        if answer.time is None:
            return warning(f"{self.address} does not tell its time, so compare the clocks yourself.")
        skew = abs((datetime.now(UTC) - answer.time).total_seconds())
        text = f"This clock and that of {self.address} differ by {skew:.0f} seconds"
        if skew > _LARGEST_SKEW:
            return failure(f"{text}, and Flower allows {_LARGEST_SKEW:.0f}; set the clocks by NTP.")
        return warning(f"{text}; set the clocks by NTP.") if skew > _NOTABLE_SKEW else ok(f"{text}.")

    def round_trip(self) -> Finding:
        """It answers, and lets calls of SuperNodes through and no others."""
        fleet, control = self.ask("activate-node"), self.ask("list-nodes", "control")
        if fleet.status in (404, 502, 503, 504):
            return failure(
                f"{self.address} passes no calls of SuperNodes on (status {fleet.status}); ask the coordinator's "
                "people whether their SuperLink runs."
            )
        if control.status != 404:
            return failure(
                f"{self.address} is no front door: it also answers calls that start runs (status {control.status}). "
                "Tell the coordinator's people."
            )
        return ok(
            f"{self.address} answers in {fleet.seconds * 1000:.0f} ms, and to calls of SuperNodes only."
        )

    def registered(self, key: ec.EllipticCurvePrivateKey) -> Finding:
        """The coordinator has registered the key. It is asked for what it refuses in any case, so nothing changes."""
        from flwr.proto.fleet_pb2 import ActivateNodeRequest

        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        body = ActivateNodeRequest(public_key=public, heartbeat_interval=0).SerializeToString()
        answer = self.ask("activate-node", body=body, headers=_signed(key, public))
        code = _code(answer.content)
        if code == _NO_INTERVAL:
            return ok(f"{self.address} has registered the key of this SuperNode.")
        if code == _UNREGISTERED:
            return failure(
                f"{self.address} has not registered the key of this SuperNode; send the coordinator's people what "
                "`siloscore keys DIR --node FOLDER` prints."
            )
        return failure(f"{self.address} does not accept the key of this SuperNode (status {answer.status}).")

    def ask(
        self, call: str, api: str = "fleet", body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer to a call. Raises ConfigError when nobody answers."""
        begun = time.perf_counter()
        sent = {"Content-Type": "application/protobuf", **(headers or {})}
        try:
            with closing(self._connected()) as connection:
                connection.request("POST", f"/v1/{api}/{call}", body, sent)
                reply = connection.getresponse()
                content = reply.read()
        except (OSError, HTTPException) as error:
            raise self._silent(error) from None
        # The SuperLink behind the front door may tell its own time, too.
        dates = reply.headers.get_all("Date", [])
        told = parsedate_to_datetime(dates[0]) if dates else None
        return Answer(reply.status, content, told, time.perf_counter() - begun)

    def _connected(self) -> HTTPSConnection:
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdecimal():
            raise ConfigError(f"{self.address!r} is no HOST:PORT, such as coordinator.example:9443.")
        trust = ssl.create_default_context(cafile=str(self.authority))
        connection = HTTPSConnection(host.strip("[]"), int(port), timeout=_PATIENCE_SECONDS, context=trust)
        try:
            connection.connect()
        except ssl.SSLCertVerificationError:
            raise
        except OSError as error:
            raise self._silent(error) from None
        return connection

    def _silent(self, error: Exception) -> ConfigError:
        return ConfigError(
            f"{self.address} does not answer ({error}). Is it the coordinator's front door, and does your firewall let "
            "connections to it out?"
        )


def _signed(key: ec.EllipticCurvePrivateKey, public: bytes) -> dict[str, str]:
    """Headers by which a SuperNode shows that it has a key, as Flower 1.41 wants them."""
    moment = datetime.now(UTC).isoformat()
    signature = key.sign(moment.encode("ascii"), ec.ECDSA(hashes.SHA256()))
    return {
        "flwr-public-key": base64.b64encode(public).decode("ascii"),
        "flwr-timestamp": moment,
        "flwr-signature": base64.b64encode(signature).decode("ascii"),
    }


def _code(content: bytes) -> int | None:
    """Flower's code of an error; nothing if the content is none."""
    try:
        told = json.loads(content)
    except ValueError:
        return None
    return told.get("code") if isinstance(told, dict) else None
