"""Real servers for the tests: each a private process on a free port in a temporary folder, or one that an environment
variable names (`REACTOR_TEST_REDIS=host:port`). What cannot start is an error, never a skip."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.guard import processes, reaper

SERVICE = "REACTOR_TEST_SERVICE"
"""The variable by which all processes of a server are known."""


class Service:
    """A server. `command(folder, port)` starts it; `answers(port)` says whether it is up."""

    name = ""
    program = ""

    def __init__(self) -> None:
        given = os.environ.get(f"REACTOR_TEST_{self.name.upper()}")
        self.external = given is not None
        self.host, self.port = "127.0.0.1", 0
        if given is not None:
            self.host, _, port = given.rpartition(":")
            self.port = int(port)
        self.folder = Path(tempfile.mkdtemp(prefix=f"reactor-{self.name}-", dir=processes.folder))
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {}

    @property
    def url(self) -> str:
        raise NotImplementedError

    def answers(self) -> bool:
        with socket.create_connection((self.host, self.port), timeout=1):
            return True

    def start(self, seconds: float = 60.0) -> Self:
        assert processes.expected, "this test needs the mark `daemon`: tests.guard.kinds did not see that it starts one"
        if self.external:
            return self
        os.environ["PATH"] += ":/usr/sbin" if "/usr/sbin" not in os.environ["PATH"] else ""
        if shutil.which(self.program) is None:
            raise RuntimeError(f"{self.program} is not installed; `make services` installs it")
        self.port = self.port or free_port()
        given = {**os.environ, **self.environment(), SERVICE: str(self.folder)}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, cwd=self.folder, env=given, start_new_session=True
            )
        try:
            self._wait(self.process, seconds)
        except BaseException:
            self.close()
            raise
        return self

    def _wait(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        """Until it answers."""
        end = time.monotonic() + seconds
        said: object = "no answer"
        while True:
            try:
                if self.answers():
                    return
            except Exception as error:
                said = error
            if process.poll() is not None or time.monotonic() > end:
                text = (self.folder / "log").read_text("utf-8", "replace")[-2000:]
                raise RuntimeError(f"{self.name} does not start: {said}\n{text}")
            time.sleep(0.02)

    def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        """The end of the server, of all that it started, and of its folder."""
        self.kill()
        reaper.end(reaper.Marks(f"{SERVICE}={self.folder}", 0, ()))
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Redis(Service):
    name, program = "redis", "redis-server"

    def command(self) -> list[str]:
        return [
            "redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "",
            "--appendonly", "yes", "--appendfsync", "always", "--notify-keyspace-events", "KEA",
        ]  # fmt: skip

    def answers(self) -> bool:
        with socket.create_connection((self.host, self.port), timeout=1) as client:
            client.sendall(b"PING\r\n")
            return client.recv(10) == b"+PONG\r\n"

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"


class Nats(Service):
    name, program = "nats", "nats-server"

    def command(self) -> list[str]:
        return ["nats-server", "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder)]

    def answers(self) -> bool:
        with socket.create_connection((self.host, self.port), timeout=1) as client:
            return client.recv(4) == b"INFO"

    @property
    def url(self) -> str:
        return f"nats://{self.host}:{self.port}"


class Kafka(Service):
    """A single KRaft node of the jars in `.work/kafka/lib` (`make services` fetches them)."""

    name, program = "kafka", "java"
    jars = Path(__file__).parent.parent / ".work/kafka/lib"

    def _java(self, heap: str) -> list[str]:
        return ["java", f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{self.jars}/*"]

    def command(self) -> list[str]:
        if not any(self.jars.glob("kafka_*.jar")):
            raise RuntimeError(f"{self.jars} has no Kafka; `make services` fetches it")
        settings = self.folder / "server.properties"
        if not settings.exists():
            controller = free_port()
            lines = {
                "process.roles": "broker,controller", "node.id": "1", "log.dirs": self.folder / "logs",
                "controller.quorum.voters": f"1@127.0.0.1:{controller}", "controller.listener.names": "CONTROLLER",
                "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
                "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}", "num.partitions": "4",
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
                "offsets.topic.replication.factor": "1", "offsets.topic.num.partitions": "1",
                "transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1",
                "transaction.state.log.num.partitions": "1", "group.initial.rebalance.delay.ms": "0",
            }  # fmt: skip
            settings.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
            format = [
                *self._java("128m"),
                "kafka.tools.StorageTool",
                "format",
                "-t",
                "MkU3OEVBNTcwNTJENDM2Qg",
                "-c",
                str(settings),
            ]
            subprocess.run(format, check=True, capture_output=True, cwd=self.folder)
        return [*self._java("384m"), "kafka.Kafka", str(settings)]

    @property
    def url(self) -> str:
        return f"kafka://{self.host}:{self.port}"


class Mqtt(Service):
    name, program = "mqtt", "mosquitto"

    def command(self) -> list[str]:
        settings = self.folder / "mosquitto.conf"
        settings.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {self.folder}/\nmax_queued_messages 0\nmax_inflight_messages 1000\nuser root\n"
        )
        return ["mosquitto", "-c", str(settings)]

    @property
    def url(self) -> str:
        return f"mqtt://{self.host}:{self.port}"


class Amqp(Service):
    """With an epmd of its own, where Erlang's nodes are registered: one that is shared would outlive it."""

    name, program = "amqp", "rabbitmqctl"
    distribution = names = 0

    def environment(self) -> dict[str, str]:
        self.distribution = self.distribution or free_port()
        self.names = self.names or free_port()
        return {
            "HOME": str(self.folder), "RABBITMQ_NODENAME": f"reactor{self.port}@localhost", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port), "RABBITMQ_DIST_PORT": str(self.distribution),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"), "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"), "RABBITMQ_CONF_ENV_FILE": str(self.folder / "env"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"), "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(self.names),
        }  # fmt: skip

    def command(self) -> list[str]:
        for name in ("data", "logs"):
            (self.folder / name).mkdir(exist_ok=True)
        (self.folder / "plugins").write_text("[].\n")
        (self.folder / "env").write_text("")
        (self.folder / "rabbitmq.conf").write_text("loopback_users = none\n")
        return ["/usr/lib/rabbitmq/bin/rabbitmq-server"]

    def answers(self) -> bool:
        with socket.create_connection((self.host, self.port), timeout=1) as client:
            client.sendall(b"AMQP\0\0\x09\1")
            return len(client.recv(8)) == 8

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{self.host}:{self.port}/"


class Postgres(Service):
    """With logical decoding. It refuses to run as root, so root runs it as the package's own user."""

    name, program = "postgres", "setpriv"
    settings = (
        "wal_level=logical", "max_wal_senders=20", "max_replication_slots=20", "fsync=on", "max_connections=100",
        "wal_sender_timeout=10s", "listen_addresses=127.0.0.1", "unix_socket_directories=", "log_min_messages=warning",
    )  # fmt: skip

    def _bin(self) -> Path:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
        if not found:
            raise RuntimeError("PostgreSQL is not installed; `make services` installs it")
        return found[-1].parent

    def _as(self) -> list[str]:
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []

    def command(self) -> list[str]:
        data = self.folder / "data"
        if not data.exists():
            data.mkdir()
            if os.getuid() == 0:
                shutil.chown(self.folder, "postgres")
                shutil.chown(data, "postgres")
            subprocess.run(
                [*self._as(), str(self._bin() / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust",
                 "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"],
                check=True, capture_output=True, cwd="/",
            )  # fmt: skip
        options = [part for setting in self.settings for part in ("-c", setting)]
        return [*self._as(), str(self._bin() / "postgres"), "-D", str(data), "-p", str(self.port), *options]

    def answers(self) -> bool:
        import psycopg2

        psycopg2.connect(self.url, connect_timeout=2).close()
        return True

    def stop(self) -> None:
        """Fast, as an operator's restart is: sessions are ended."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
            self.process = None

    def kill(self) -> None:
        """Its children have sessions of their own, so each is killed by itself."""
        if self.process is not None:
            pid = self.process.pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            self.process.kill()
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
            self.process.wait()
            while any(Path(f"/proc/{child}").exists() for child in children):
                time.sleep(0.01)
            self.process = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{self.host}:{self.port}/postgres"


class Mariadb(Service):
    name, program = "mariadb", "mariadbd"
    settings = (
        "--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-metadata=FULL", "--binlog-row-image=FULL",
        "--server-id=1", "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1", "--innodb-buffer-pool-size=64M",
        "--gtid-strict-mode=1", "--character-set-server=utf8mb4", "--skip-name-resolve", "--max-connections=100",
    )  # fmt: skip

    def command(self) -> list[str]:
        data = self.folder / "data"
        user = ["--user=mysql"] if os.getuid() == 0 else []
        if not data.exists():
            data.mkdir()
            if os.getuid() == 0:
                shutil.chown(self.folder, "mysql")
                shutil.chown(data, "mysql")
            subprocess.run(
                ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
                 "--skip-test-db", *user],
                check=True, capture_output=True, cwd="/",
            )  # fmt: skip
        return [
            "mariadbd", "--no-defaults", *user, f"--datadir={data}", f"--port={self.port}", "--bind-address=127.0.0.1",
            f"--socket={self.folder}/s", f"--pid-file={self.folder}/pid", *self.settings,
        ]  # fmt: skip

    def answers(self) -> bool:
        import pymysql

        with pymysql.connect(host=self.host, port=self.port, user="root", connect_timeout=2) as connection:
            connection.cursor().execute("CREATE DATABASE IF NOT EXISTS shop")
        return True

    @property
    def url(self) -> str:
        return f"mysql://root@{self.host}:{self.port}/shop"
