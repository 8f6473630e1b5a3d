"""The proxies beside ours: how each is installed, started and spoken to. Rows of data, and a template for each.

All get the same upstream, one worker where they have workers, and their own defaults in everything else.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.serving.ports import free_port
from loadtests.peers.target import Target
from loadtests.processes import Process

LITELLM_KEY = "sk-a-key-that-is-long-enough"
LITELLM = """
model_list:
  - model_name: m
    litellm_params: {{model: hosted_vllm/m, api_base: "{upstream}", api_key: none}}
general_settings: {{master_key: {key}}}
"""
TENSORZERO = """
[gateway]
observability.enabled = false
[models.m]
routing = ["upstream"]
[models.m.providers.upstream]
type = "vllm"
model_name = "m"
api_base = "{upstream}"
api_key_location = "none"
"""
# The gateway is inside the wheel, and this is the wheel's own way to run it. It says where it listens.
TENSORZERO_START = """
import sys, threading, types, tensorzero
client = tensorzero.patch_openai_client(types.SimpleNamespace(), config_file=sys.argv[1], async_setup=False)
print("listening", client.base_url, flush=True)
threading.Event().wait()
"""
NGINX = """
worker_processes 1;
daemon off;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
  upstream backend {{ server {address}; keepalive 1100; }}
  server {{
    listen 127.0.0.1:{port};
    keepalive_requests 10000000;
    location / {{
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""
HAPROXY = """
global
  maxconn 4096
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend front
  bind 127.0.0.1:{port}
  default_backend back
backend back
  http-reuse always
  server one {address}
"""
PORTKEY = {
    "private": True,
    "dependencies": {"@portkey-ai/gateway": "1.15.2"},
    # Without these every streamed request is answered with 500 (Portkey-AI/gateway#1389).
    "overrides": {"@hono/node-server": "1.13.8", "hono": "4.9.7"},
}


@dataclass(frozen=True)
class Place:
    """Where a rival is started: its installation, a folder for its files, and the upstream (`url` ends in /v1)."""

    home: Path
    folder: Path
    transport: str

    @property
    def address(self) -> str:
        return self.transport.removeprefix("http://").removesuffix("/v1")

    def write(self, name: str, text: str, **values: object) -> Path:
        path = self.folder / name
        path.write_text(text.format(transport=self.transport, address=self.address, **values), "utf-8")
        return path


Started = tuple[Process, Callable[[], Target | None]]


@dataclass(frozen=True)
class Rival:
    """`wheels` are for pip, `package` for npm, `program` must be there already. `patience_s` is for its start.

    `start` gives the process, and a function that says where it listens, as soon as that is known.
    """

    name: str
    start: Callable[[Place], Started]
    wheels: tuple[str, ...] = ()
    package: Mapping[str, object] = field(default_factory=dict)
    program: str = ""
    patience_s: float = 60


def litellm(place: Place) -> Started:
    port = free_port()
    config = place.write("litellm.yaml", LITELLM, key=LITELLM_KEY)
    options = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "LITELLM_LOG": "ERROR"}
    process = _run(place, "litellm", [place.home / "bin/litellm", "--config", config, *options], quiet)
    return process, lambda: Target(port, headers={"authorization": f"Bearer {LITELLM_KEY}"})


def tensorzero(place: Place) -> Started:
    config = place.write("tensorzero.toml", TENSORZERO)
    python = place.home / "bin/python"
    command = [python, "-W", "ignore", "-c", TENSORZERO_START, config]
    process = _run(place, "tensorzero", command)

    def target() -> Target | None:
        lines = [line.split()[1] for line in process.output().splitlines() if line.startswith("listening ")]
        if not lines:
            return None
        port = int(lines[0].split("//")[1].split("/")[0].rsplit(":", 1)[1])
        return Target(port, "tensorzero::model_name::m", "/openai/v1/chat/completions")

    return process, target


def vllm_router(place: Place) -> Started:
    return _router(place, "vllm-router", [], "warning")


def smg(place: Place) -> Started:
    return _router(place, "smg", ["launch", "--backend", "vllm"], "warn")


def _router(place: Place, name: str, command: list[str], level: str) -> Started:
    port = free_port()
    where = ["--worker-urls", f"http://{place.address}", "--host", "127.0.0.1", "--port", str(port)]
    metrics = ["--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())]
    how = ["--policy", "round_robin", "--log-level", level]
    process = _run(place, name, [place.home / "bin" / name, *command, *where, *metrics, *how])
    return process, lambda: Target(port)


def portkey(place: Place) -> Started:
    port = free_port()
    script = place.home / "node_modules/@portkey-ai/gateway/build/start-server.js"
    process = _run(place, "portkey", [shutil.which("node") or "node", script, f"--port={port}", "--headless"])
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": place.transport, "authorization": "Bearer none"}
    return process, lambda: Target(port, headers=headers)


def nginx(place: Place) -> Started:
    port = free_port()
    (place.folder / "tmp").mkdir(exist_ok=True)
    config = place.write("nginx.conf", NGINX, port=port)
    return _run(place, "nginx", ["nginx", "-p", place.folder, "-c", config]), lambda: Target(port)


def haproxy(place: Place) -> Started:
    port = free_port()
    config = place.write("haproxy.cfg", HAPROXY, port=port)
    return _run(place, "haproxy", ["haproxy", "-db", "-f", config]), lambda: Target(port)


def _run(place: Place, name: str, command: list[str | Path], env: Mapping[str, str] | None = None) -> Process:
    # Not with our packages: each has its own.
    return Process(command, place.folder, env={"PYTHONPATH": "", **(env or {})}, name=name)


RIVALS = (
    Rival("litellm", litellm, wheels=("litellm[proxy]",), patience_s=120),
    Rival("portkey", portkey, package=PORTKEY),
    Rival("tensorzero", tensorzero, wheels=("tensorzero",)),
    Rival("smg", smg, wheels=("smg",)),
    Rival("vllm-router", vllm_router, wheels=("vllm-router",)),
    Rival("nginx", nginx, program="nginx"),
    Rival("haproxy", haproxy, program="haproxy"),
)


def python() -> str:
    """The interpreter that environments of rivals are made with: that of this process, outside of any environment."""
    return getattr(sys, "_base_executable", sys.executable)


def package_json(package: Mapping[str, object]) -> str:
    return json.dumps(package, indent=2)
