"""Renders the chart with real helm, and returns the manifests that the cluster would get."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parent.parent.parent / "helm"
Manifest = dict[str, Any]


class Refused(Exception):
    """helm refused the chart or its values; the message is helm's."""


@dataclass(frozen=True)
class Chart:
    """The chart, its helm and a folder for values files."""

    helm: Path
    folder: Path
    rendered: dict[str, str] = field(default_factory=dict)

    def lint(self, values: Mapping[str, Any] | None = None) -> str:
        return self._run("lint", "--strict", *self._values(values))

    def render(self, values: Mapping[str, Any] | None = None, release: str = "edge") -> dict[str, Manifest]:
        """Manifests by kind; helm runs once for the same values."""
        key = repr((release, values))
        if key not in self.rendered:
            self.rendered[key] = self._run("template", release, *self._values(values))
        manifests = [manifest for manifest in yaml.load_all(self.rendered[key], yaml.CSafeLoader) if manifest]
        by_kind = {manifest["kind"]: manifest for manifest in manifests}
        assert len(by_kind) == len(manifests)
        return by_kind

    def _values(self, values: Mapping[str, Any] | None) -> list[str]:
        if values is None:
            return []
        path = self.folder / "values.yaml"
        path.write_text(yaml.safe_dump(dict(values)), "utf-8")
        return ["--values", str(path)]

    def _run(self, verb: str, *arguments: str) -> str:
        """Nothing outside the folder is read or written: no cluster, no caches, no plug-ins of the machine."""
        environment = {"HOME": str(self.folder), "PATH": ""}
        before, after = ([arguments[0]], arguments[1:]) if verb == "template" else ([], arguments)
        command = [str(self.helm), verb, *before, str(CHART), *after]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Refused(done.stdout + done.stderr)
        return done.stdout
