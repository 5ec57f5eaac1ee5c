"""The servers of `services`, but over TLS only, and only for those who sign in: with a certificate where the connection
has one, and as the user `reactor` with PASSWORD."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives import serialization

from tests import services
from tests.guard import processes

USER, PASSWORD = "reactor", "s3cret-pass/w:rd"


class Papers:
    """An authority, a server's and a client's certificate, as files that any user may read."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="reactor-papers-", dir=processes.folder))
        self.folder.chmod(0o755)
        authority = trustme.CA(key_type=trustme.KeyType.RSA)
        self.ca = self.folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        self.cert, self.key = self._issue(authority, "server", "127.0.0.1", "localhost")
        self.own_cert, self.own_key = self._issue(authority, "client", "reactor@example.org")
        self.both = self.folder / "both.pem"
        """The server's key as PKCS #8 and its certificates, in one file."""
        key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        eight = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.both.write_bytes(eight + self.cert.read_bytes() + self.ca.read_bytes())
        for file in self.folder.iterdir():
            file.chmod(0o644)

    def _issue(self, authority: trustme.CA, name: str, *identities: str) -> tuple[Path, Path]:
        issued = authority.issue_cert(*identities, key_type=trustme.KeyType.RSA)
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return cert, key

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(self.own_cert, self.own_key)
        return context

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class Secure(services.Service):
    """Never an external one: its papers are made here."""

    papers: Papers

    def __init__(self, papers: Papers) -> None:
        super().__init__()
        self.papers = papers
        self.external, self.host, self.port = False, "127.0.0.1", 0

    def greet(self, message: bytes, size: int) -> bytes:
        """What the server answers a client with papers."""
        with (
            socket.create_connection((self.host, self.port), timeout=2) as plain,
            self.papers.client().wrap_socket(plain, server_hostname=self.host) as client,
        ):
            client.sendall(message)
            return client.recv(size)


class Redis(Secure, services.Redis):
    def command(self) -> list[str]:
        papers = self.papers
        return [
            "redis-server", "--port", "0", "--tls-port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
            "--tls-cert-file", str(papers.cert), "--tls-key-file", str(papers.key), "--tls-ca-cert-file", str(papers.ca),
            "--tls-auth-clients", "yes", "--save", "", "--appendonly", "yes",
            "--user", "default", "off", "--user", USER, "on", f">{PASSWORD}", "~*", "&*", "+@all",
        ]  # fmt: skip

    def answers(self) -> bool:
        return self.greet(b"PING\r\n", 7) == b"-NOAUTH"


class Nats(Secure, services.Nats):
    def command(self) -> list[str]:
        papers, settings = self.papers, self.folder / "nats.conf"
        settings.write_text(
            f'listen: "127.0.0.1:{self.port}"\njetstream {{store_dir: "{self.folder}"}}\n'
            f'tls {{cert_file: "{papers.cert}", key_file: "{papers.key}", ca_file: "{papers.ca}", verify: true}}\n'
            f'authorization {{user: {USER}, password: "{PASSWORD}"}}\n'
        )
        return ["nats-server", "-c", str(settings)]


class Mqtt(Secure, services.Mqtt):
    def command(self) -> list[str]:
        papers, settings, users = self.papers, self.folder / "mosquitto.conf", self.folder / "users"
        subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), USER, PASSWORD], check=True, capture_output=True)
        settings.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\npassword_file {users}\nuser root\n"
            f"cafile {papers.ca}\ncertfile {papers.cert}\nkeyfile {papers.key}\nrequire_certificate true\n"
            f"persistence true\npersistence_location {self.folder}/\n"
        )
        return ["mosquitto", "-c", str(settings)]


class Amqp(Secure, services.Amqp):
    def environment(self) -> dict[str, str]:
        plain = ("RABBITMQ_NODE_IP_ADDRESS", "RABBITMQ_NODE_PORT")
        return {name: value for name, value in super().environment().items() if name not in plain}

    def command(self) -> list[str]:
        found, papers = super().command(), self.papers
        (self.folder / "rabbitmq.conf").write_text(
            f"loopback_users = none\nlisteners.tcp = none\nlisteners.ssl.default = 127.0.0.1:{self.port}\n"
            f"ssl_options.cacertfile = {papers.ca}\nssl_options.certfile = {papers.cert}\n"
            f"ssl_options.keyfile = {papers.key}\nssl_options.verify = verify_peer\n"
            f"ssl_options.fail_if_no_peer_cert = true\ndefault_user = {USER}\ndefault_pass = {PASSWORD}\n"
        )
        return found

    def answers(self) -> bool:
        return len(self.greet(b"AMQP\0\0\x09\1", 8)) == 8


class Kafka(Secure, services.Kafka):
    """Clients come over SASL_SSL with SCRAM; the broker talks to itself in the clear."""

    def command(self) -> list[str]:
        settings = self.folder / "server.properties"
        if not settings.exists():
            inner, controller = services.free_port(), services.free_port()
            lines = {
                "process.roles": "broker,controller", "node.id": "1", "log.dirs": self.folder / "logs",
                "controller.quorum.voters": f"1@127.0.0.1:{controller}", "controller.listener.names": "CONTROLLER",
                "listeners": f"SASL_SSL://127.0.0.1:{self.port},PLAINTEXT://127.0.0.1:{inner},CONTROLLER://127.0.0.1:{controller}",
                "advertised.listeners": f"SASL_SSL://127.0.0.1:{self.port},PLAINTEXT://127.0.0.1:{inner}",
                "listener.security.protocol.map": "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
                "inter.broker.listener.name": "PLAINTEXT", "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
                "listener.name.sasl_ssl.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule required "
                f'user_{USER}="{PASSWORD}";',
                "ssl.keystore.type": "PEM", "ssl.keystore.location": self.papers.both, "ssl.truststore.type": "PEM",
                "ssl.truststore.location": self.papers.ca, "listener.name.sasl_ssl.ssl.client.auth": "required",
                "offsets.topic.replication.factor": "1", "offsets.topic.num.partitions": "1", "num.partitions": "1",
                "transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1",
                "transaction.state.log.num.partitions": "1", "group.initial.rebalance.delay.ms": "0",
            }  # fmt: skip
            settings.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
            tool = [*self._java("128m"), "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg"]
            scram = ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"]
            subprocess.run([*tool, "-c", str(settings), *scram], check=True, capture_output=True, cwd=self.folder)
        return [*self._java("384m"), "kafka.Kafka", str(settings)]


class Postgres(Secure, services.Postgres):
    def command(self) -> list[str]:
        first = not (self.folder / "data").exists()
        found = super().command()
        data, papers = self.folder / "data", self.papers
        if first:
            sql = f"CREATE ROLE {USER} LOGIN SUPERUSER REPLICATION PASSWORD '{PASSWORD}';\n"
            single = [*self._as(), str(self._bin() / "postgres"), "--single", "-D", str(data), "postgres"]
            subprocess.run(single, input=sql, text=True, check=True, capture_output=True, cwd="/")
            both = "hostssl all all 127.0.0.1/32 scram-sha-256\nhostssl replication all 127.0.0.1/32 scram-sha-256\n"
            (data / "pg_hba.conf").write_text(both)
            shutil.copy(papers.key, data / "own.key")
            (data / "own.key").chmod(0o600)
            if os.getuid() == 0:
                shutil.chown(data / "own.key", "postgres")
        return [*found, "-c", "ssl=on", "-c", f"ssl_cert_file={papers.cert}", "-c", "ssl_key_file=own.key"]

    def answers(self) -> bool:
        import psycopg2

        where: dict[str, Any] = {"host": self.host, "port": self.port, "dbname": "postgres", "connect_timeout": 2}
        psycopg2.connect(
            user=USER, password=PASSWORD, sslmode="verify-full", sslrootcert=self.papers.ca, **where
        ).close()
        return True


class Mariadb(Secure, services.Mariadb):
    def command(self) -> list[str]:
        papers, begin = self.papers, self.folder / "begin.sql"
        begin.write_text(
            f"CREATE USER IF NOT EXISTS {USER}@'%' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO {USER}@'%';\nCREATE DATABASE IF NOT EXISTS shop;\n"
        )
        begin.chmod(0o644)
        return [
            *super().command(), f"--ssl-ca={papers.ca}", f"--ssl-cert={papers.cert}", f"--ssl-key={papers.key}",
            "--require-secure-transport=ON", f"--init-file={begin}",
        ]  # fmt: skip

    def answers(self) -> bool:
        import pymysql

        where: dict[str, Any] = {"host": self.host, "port": self.port, "database": "shop", "connect_timeout": 2}
        pymysql.connect(user=USER, password=PASSWORD, ssl_ca=str(self.papers.ca), **where).close()
        return True
