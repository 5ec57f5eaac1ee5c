"""`reactor service`: a hardened systemd unit for this executable."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from reactor.contracts.errors import ConfigError


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--flows", default="/etc/reactor/flows", help="the directory of flows")
    parser.add_argument("--listen", default="127.0.0.1:8420", help="address and port")
    parser.add_argument("--user", default="reactor", help="the user; made when the service starts unless it exists")
    parser.add_argument("--allow", action="append", default=[], help="as the daemon's --allow")
    parser.add_argument("--plugins", action="append", default=[], metavar="DIR", help="a directory of plugins")
    parser.add_argument("--executable", help="where reactor is, when it is not this one")


def command() -> str:
    """This executable, or this Python with the package."""
    if getattr(sys, "frozen", False):
        return str(Path(sys.executable).absolute())
    return f"{sys.executable} -m reactor"


def run(options: Any) -> int:
    for name, value in (
        ("flows", options.flows),
        ("listen", options.listen),
        ("user", options.user),
        *(("plugins", folder) for folder in options.plugins),
    ):
        if not value or any(c in value for c in "\n\r\0%"):
            raise ConfigError(f"--{name} {value!r} cannot stand in a unit")
    executable = options.executable or command()
    arguments = ["--flows", options.flows, "--data", "/var/lib/reactor", "--listen", options.listen]
    for word in options.allow:
        arguments += ["--allow", word]
    for folder in options.plugins:
        arguments += ["--plugins", folder]
    line = f"{executable} run {shlex.join(arguments)}"
    spawns = bool(options.plugins) or any(word in ("shell", "script") for word in options.allow)
    print(unit(line, options.user, [options.flows, *options.plugins], spawns), end="")
    return 0


def unit(line: str, user: str, folders: list[str], spawns: bool) -> str:
    """Flows and plugins that start programs get what programs need (Node and Java write code while they run); others
    nothing beyond the network and their files."""
    paths = " ".join(shlex.quote(folder) for folder in folders)
    strict = "" if spawns else "MemoryDenyWriteExecute=yes\nSystemCallFilter=~@privileged @resources\n"
    return f"""# /etc/systemd/system/reactor.service, then: systemctl daemon-reload && systemctl enable --now reactor
# Secrets: one file each, mode 600, in /etc/reactor/secrets; they reach the daemon as credentials.
[Unit]
Description=Reactor, the event-driven workflow daemon
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
NotifyAccess=all
ExecStart={line} --secrets ${{CREDENTIALS_DIRECTORY}}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=2s
# wrong options do not become right by trying again
RestartPreventExitStatus=2 4
TimeoutStopSec=60s
WatchdogSec=30s
User={user}
DynamicUser=yes
StateDirectory=reactor
StateDirectoryMode=0700
RuntimeDirectory=reactor
# the executable unpacks itself where programs may run; %t is mounted noexec
CacheDirectory=reactor
CacheDirectoryMode=0700
Environment=TMPDIR=%C/reactor
EnvironmentFile=-/etc/reactor/environment
LoadCredential=secrets:/etc/reactor/secrets
LimitNOFILE=65536
UMask=0077
ReadOnlyPaths={paths}
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
CapabilityBoundingSet=
SystemCallArchitectures=native
SystemCallFilter=@system-service
{strict}
[Install]
WantedBy=multi-user.target
"""
