"""The chart, judged by real helm and by the Kubernetes schemas: `make test ARGS=tests/helm`."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from gateway import __version__
from gateway.config.storage import RecordSettings
from tests.helm.chart import Chart, Refused

THINKGATE = Path(sys.executable).with_name("thinkgate")
# The oldest and the newest Kubernetes that the chart promises to run on.
KUBERNETES = ("1.30", "1.37")
# TOML with everything that could be mangled on its way through values, template and YAML.
AWKWARD = (
    'title = "\'{{ .Values.image.repository }}\' \\u00e9 é \\t"\n\n[a."b # c"]\n  text = """\n---\nkind: Pod\n"""\n\n\n'
)

VALUES: dict[str, dict[str, Any] | None] = {
    "defaults": None,
    "scaled out": {"replicas": 5, "secret": "backend-keys", "service": {"type": "LoadBalancer", "port": 8443}},
    "secret files": {"secretFiles": "backend-keys", "secret": "more"},
    "kept records": {"records": {"claim": "thinkgate-records"}},
    "no replicas": {"replicas": 0, "resources": {"requests": None, "limits": {"memory": "0.5Gi", "cpu": 2}}},
    "private image": {"image": {"repository": "r.example:5000/gate", "tag": "1.2-rc.1", "pullSecrets": ["a", "b"]}},
    "scraped": {"podAnnotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}},
    "awkward configuration": {"config": AWKWARD},
}
every_values = pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())


def pod(manifests: dict[str, Any]) -> dict[str, Any]:
    template: dict[str, Any] = manifests["Deployment"]["spec"]["template"]
    return template


def container(manifests: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod(manifests)["spec"]["containers"]
    assert isinstance(only, dict)
    return only


@every_values
def test_lint_finds_nothing(chart: Chart, values: dict[str, Any] | None) -> None:
    assert "0 chart(s) failed" in chart.lint(values)


@every_values
@pytest.mark.parametrize("version", KUBERNETES)
def test_manifests_follow_the_schemas_of_kubernetes(chart: Chart, values: dict[str, Any] | None, version: str) -> None:
    manifests = chart.render(values)
    assert set(manifests) == {"ConfigMap", "Deployment", "Service", "ServiceAccount"}
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_judge_refuses_a_wrong_manifest(chart: Chart) -> None:
    deployment = chart.render()["Deployment"]
    deployment["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES[-1], strict=True)


@every_values
def test_parts_find_each_other(chart: Chart, values: dict[str, Any] | None) -> None:
    manifests = chart.render(values)
    labels = pod(manifests)["metadata"]["labels"]
    assert manifests["Service"]["spec"]["selector"].items() <= labels.items()
    assert manifests["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert pod(manifests)["spec"]["serviceAccountName"] == manifests["ServiceAccount"]["metadata"]["name"]
    mounts = {mount["name"] for mount in container(manifests)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod(manifests)["spec"]["volumes"]}
    assert mounts == set(volumes)
    assert volumes["config"]["configMap"]["name"] == manifests["ConfigMap"]["metadata"]["name"]
    assert {port["name"] for port in container(manifests)["ports"]} == {
        port["targetPort"] for port in manifests["Service"]["spec"]["ports"]
    }


@every_values
def test_nothing_runs_with_more_rights_than_it_needs(chart: Chart, values: dict[str, Any] | None) -> None:
    manifests = chart.render(values)
    assert pod(manifests)["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pod(manifests)["spec"]["automountServiceAccountToken"] is False
    rights = container(manifests)["securityContext"]
    assert rights["readOnlyRootFilesystem"] is True
    assert rights["allowPrivilegeEscalation"] is False
    assert rights["capabilities"] == {"drop": ["ALL"]}


def test_probes_ask_the_gateway(chart: Chart) -> None:
    gateway = container(chart.render())
    assert {gateway[probe]["httpGet"]["path"] for probe in ("livenessProbe", "startupProbe")} == {"/health"}
    assert gateway["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert gateway["command"][:3] == ["thinkgate", "serve", "--config"]


def test_the_configuration_arrives_unchanged_where_the_gateway_reads_it(chart: Chart) -> None:
    manifests = chart.render({"config": AWKWARD})
    assert manifests["ConfigMap"]["data"] == {"thinkgate.toml": AWKWARD}
    assert tomllib.loads(AWKWARD)
    mount = next(m for m in container(manifests)["volumeMounts"] if m["name"] == "config")
    assert mount["mountPath"] in container(manifests)["command"] and mount["subPath"] == "thinkgate.toml"


def test_the_default_configuration_is_one_the_gateway_takes(chart: Chart, tmp_path: Path) -> None:
    file = tmp_path / "thinkgate.toml"
    file.write_text(chart.render()["ConfigMap"]["data"]["thinkgate.toml"], "utf-8")
    done = subprocess.run([THINKGATE, "check", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "qwen3" in done.stdout


def test_records_land_on_the_volume_by_default(chart: Chart) -> None:
    gateway = container(chart.render())
    mounts = {m["name"]: m["mountPath"] for m in gateway["volumeMounts"]}
    assert not RecordSettings().path.is_absolute()
    assert mounts["records"] == gateway["workingDir"] == str(Path(mounts["config"]).parent)


def test_secret_files_are_for_the_gateway_alone(chart: Chart) -> None:
    manifests = chart.render({"secretFiles": "keys"})
    volume = next(v for v in pod(manifests)["spec"]["volumes"] if v["name"] == "secrets")
    assert volume["secret"] == {"secretName": "keys", "defaultMode": 0o440}
    mount = next(m for m in container(manifests)["volumeMounts"] if m["name"] == "secrets")
    assert mount["readOnly"] is True and mount["mountPath"] == "/etc/thinkgate-secrets"


def test_a_changed_configuration_starts_new_pods(chart: Chart) -> None:
    def checksum(values: dict[str, Any] | None) -> str:
        value = pod(chart.render(values))["metadata"]["annotations"]["checksum/config"]
        assert isinstance(value, str)
        return value

    assert checksum(None) == checksum({"replicas": 3})
    assert checksum(None) != checksum({"config": "a = 1\n"})


def test_kept_records_have_one_writer(chart: Chart) -> None:
    manifests = chart.render({"records": {"claim": "disk"}})
    records = next(v for v in pod(manifests)["spec"]["volumes"] if v["name"] == "records")
    assert records["persistentVolumeClaim"] == {"claimName": "disk"}
    assert manifests["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}


def test_releases_do_not_share_names(chart: Chart) -> None:
    names = [
        chart.render(release=release)["Service"]["metadata"]["name"] for release in ("a", "b", "thinkgate", "x" * 53)
    ]
    assert names[:3] == ["a-thinkgate", "b-thinkgate", "thinkgate"]
    assert all(len(name) <= 63 for name in names)


def test_the_chart_is_of_this_version(chart: Chart) -> None:
    manifests = chart.render()
    assert manifests["Deployment"]["metadata"]["labels"]["app.kubernetes.io/version"] == __version__
    assert container(manifests)["image"] == f"thinkgate:{__version__}"


@pytest.mark.parametrize(
    ("values", "culprit"),
    [
        ({"replica": 2}, "replica"),
        ({"replicas": -1}, "replicas"),
        ({"replicas": "two"}, "replicas"),
        ({"replicas": 2, "records": {"claim": "disk"}}, "replicas"),
        ({"config": ""}, "config"),
        ({"config": {"server": {"port": 1}}}, "config"),
        ({"image": {"repository": "Upper Case"}}, "repository"),
        ({"image": {"digest": "sha256:0"}}, "digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"secret": "Not_A_Name"}, "secret"),
        ({"secretFiles": ["a"]}, "secretFiles"),
        ({"records": {"sizeLimit": "much"}}, "sizeLimit"),
        ({"service": {"port": 70000}}, "port"),
        ({"service": {"type": "ExternalName"}}, "type"),
        ({"resources": {"request": {}}}, "request"),
        ({"terminationGracePeriodSeconds": 1}, "terminationGracePeriodSeconds"),
        ({"podAnnotations": {"a": True}}, "podAnnotations"),
    ],
)
def test_wrong_values_are_refused_by_name(chart: Chart, values: dict[str, Any], culprit: str) -> None:
    with pytest.raises(Refused, match=re.escape(culprit)):
        chart.render(values)
