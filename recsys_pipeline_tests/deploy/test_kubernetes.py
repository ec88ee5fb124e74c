"""The manifests and the chart's values: complete, consistent with the code and with the containers."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from recsys_pipeline.settings import Settings
from recsys_pipeline_tests.deploy.processes import ROOT

FOLDER = ROOT / "deploy/kubernetes"
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
INSTANCE = yaml.safe_load((ROOT / "deploy/dagster.yaml").read_text("utf-8"))
VALUES = yaml.safe_load((FOLDER / "dagster.values.yaml").read_text("utf-8"))
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text("utf-8"))
OBJECTS = [
    one
    for file in KUSTOMIZATION["resources"]
    for one in yaml.safe_load_all((FOLDER / file).read_text("utf-8"))
]
OF_EXPORTER = [one for one in OBJECTS if one["metadata"]["name"] == "recsys-exporter"]
BY_KIND = {one["kind"]: one for one in OBJECTS if one not in OF_EXPORTER}
POD = BY_KIND["Deployment"]["spec"]["template"]
(API,) = POD["spec"]["containers"]
MEBIBYTES = {"Mi": 1, "Gi": 1024, "M": 1, "G": 1024}
VARIABLES = {f"RECSYS_{name.upper()}" for name in Settings.model_fields}

# What Kubernetes asks for, and what it knows besides, of the fields that the manifests may use.
# An unknown field is refused by `kubectl apply`, one with a wrong version too.
KNOWN: dict[str, tuple[str, set[str], set[str]]] = {
    "ConfigMap": ("v1", {"data"}, {"binaryData", "immutable"}),
    "ServiceAccount": ("v1", set(), {"automountServiceAccountToken", "imagePullSecrets"}),
    "Service": ("v1", {"selector", "ports"}, {"type", "clusterIP", "sessionAffinity"}),
    "Deployment": ("apps/v1", {"selector", "template"}, {"replicas", "strategy", "minReadySeconds"}),
    "PodDisruptionBudget": ("policy/v1", {"selector"}, {"maxUnavailable", "minAvailable"}),
    "HorizontalPodAutoscaler": (
        "autoscaling/v2", {"scaleTargetRef", "maxReplicas"}, {"minReplicas", "metrics", "behavior"},
    ),
    "NetworkPolicy": ("networking.k8s.io/v1", {"podSelector"}, {"policyTypes", "ingress", "egress"}),
}  # fmt: skip

# The keys of the chart's values that may be set here, release 1.13.
# true: any value below; a dict: these keys below.
CHART: dict[str, Any] = {
    "global": {"postgresqlSecretName", "dagsterHome", "serviceAccountName"},
    "dagsterWebserver": {
        "replicaCount", "image", "service", "enableReadOnly", "envConfigMaps", "envSecrets", "env",
        "podSecurityContext", "securityContext", "resources", "readinessProbe", "livenessProbe",
    },
    "dagsterDaemon": {
        "enabled", "image", "runCoordinator", "runMonitoring", "runRetries", "sensors", "schedules",
        "envConfigMaps", "envSecrets", "env", "podSecurityContext", "securityContext", "resources",
    },
    "runLauncher": {"type", "config"},
    "dagster-user-deployments": {"enabled", "enableSubchart", "imagePullSecrets", "deployments"},
    "postgresql": {
        "enabled", "image", "postgresqlHost", "postgresqlUsername", "postgresqlDatabase",
        "postgresqlScheme", "postgresqlParams", "service",
    },
    "generatePostgresqlPasswordSecret": None,
    "computeLogManager": {"type", "config"},
    "retention": {"enabled", "schedule", "sensor", "autoMaterialize"},
    "telemetry": {"enabled"},
    "additionalInstanceConfig": None,
}  # fmt: skip
USER_DEPLOYMENT = {
    "name", "image", "port", "dagsterApiGrpcArgs", "codeServerArgs", "includeConfigInLaunchedRuns",
    "env", "envConfigMaps", "envSecrets", "podSecurityContext", "securityContext", "resources",
    "readinessProbe", "livenessProbe", "startupProbe", "volumes", "volumeMounts",
}  # fmt: skip
RUN_MONITORING = {
    "enabled": "enabled",
    "startTimeoutSeconds": "start_timeout_seconds",
    "cancelTimeoutSeconds": "cancel_timeout_seconds",
    "pollIntervalSeconds": "poll_interval_seconds",
}


def mebibytes(text: str) -> float:
    number, unit = re.fullmatch(r"(\d+)([MG]i?)", text).groups()
    return int(number) * MEBIBYTES[unit]


def cpus(text: str) -> float:
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def workloads() -> dict[str, dict[str, Any]]:
    """Return what runs our image: the API's container and the parts of the chart."""
    (code,) = VALUES["dagster-user-deployments"]["deployments"]
    return {
        "api": API,
        "code": code,
        "webserver": VALUES["dagsterWebserver"],
        "daemon": VALUES["dagsterDaemon"],
    }


@pytest.mark.parametrize("one", OBJECTS, ids=[one["kind"] for one in OBJECTS])
def test_an_object_has_what_kubernetes_asks_for_and_nothing_unknown(one):
    version, needed, more = KNOWN[one["kind"]]
    assert one["apiVersion"] == version
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", one["metadata"]["name"])
    body = one.get("spec", one)
    keys = set(body) - {"apiVersion", "kind", "metadata"}
    assert needed <= keys <= needed | more


def test_every_file_is_applied_by_somebody():
    files = {path.name for path in FOLDER.iterdir()}
    assert files == {*KUSTOMIZATION["resources"], "kustomization.yaml", "dagster.values.yaml"}
    assert len(BY_KIND) == len(OBJECTS) - len(OF_EXPORTER)


def test_the_exporter_is_that_of_the_containers():
    (deployment,) = OF_EXPORTER
    spec = deployment["spec"]
    assert spec["replicas"] == 1
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == API["image"]
    assert container["command"] == SERVICES["exporter"]["command"]
    assert container["envFrom"] == API["envFrom"]
    assert container["ports"] == [{"name": "metrics", "containerPort": Settings().exporter_port}]
    annotations = spec["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(Settings().exporter_port)
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/health", "port": "metrics"}
    assert container["securityContext"] == API["securityContext"]
    assert pod["securityContext"].items() <= POD["spec"]["securityContext"].items()
    assert cpus(container["resources"]["limits"]["cpu"]) <= 2


def test_selectors_and_references_meet():
    labels = POD["metadata"]["labels"]
    spec = {kind: one["spec"] for kind, one in BY_KIND.items() if "spec" in one}
    selectors = [
        spec["Deployment"]["selector"]["matchLabels"],
        spec["Service"]["selector"],
        spec["PodDisruptionBudget"]["selector"]["matchLabels"],
        spec["NetworkPolicy"]["podSelector"]["matchLabels"],
        *(one["labelSelector"]["matchLabels"] for one in POD["spec"]["topologySpreadConstraints"]),
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels.items()
    target = spec["HorizontalPodAutoscaler"]["scaleTargetRef"]
    deployment = BY_KIND["Deployment"]
    assert target == {
        "apiVersion": deployment["apiVersion"],
        "kind": "Deployment",
        "name": deployment["metadata"]["name"],
    }
    # either would undo what the other has set
    assert "replicas" not in spec["Deployment"]
    assert POD["spec"]["serviceAccountName"] == BY_KIND["ServiceAccount"]["metadata"]["name"]
    assert {"name": "recsys-settings"} in [one.get("configMapRef") for one in API["envFrom"]]
    volumes = {one["name"] for one in POD["spec"]["volumes"]}
    assert {one["name"] for one in API["volumeMounts"]} == volumes


def test_a_pod_can_always_be_evicted_and_one_always_serves():
    assert BY_KIND["HorizontalPodAutoscaler"]["spec"]["minReplicas"] >= 2
    assert BY_KIND["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    assert BY_KIND["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_ports_are_those_of_the_service():
    settings = BY_KIND["ConfigMap"]["data"]
    ports = {one["name"]: one["containerPort"] for one in API["ports"]}
    assert ports["http"] == Settings.model_fields["api_port"].default
    assert str(ports["metrics"]) == settings["RECSYS_API_METRICS_PORT"]
    assert POD["metadata"]["annotations"]["prometheus.io/port"] == str(ports["metrics"])
    (served,) = BY_KIND["Service"]["spec"]["ports"]
    assert served["targetPort"] == "http"  # the measures are not for callers
    let_in = {
        port["port"]
        for rule in BY_KIND["NetworkPolicy"]["spec"]["ingress"]
        for port in rule["ports"]
    }
    assert let_in == set(ports.values())
    for rule in BY_KIND["NetworkPolicy"]["spec"]["ingress"]:
        assert rule["from"], "everybody may call"


def test_probes_are_paths_that_the_service_has():
    from recsys_pipeline.api.health import SECONDS, router

    paths = {route.path for route in router.routes}
    assert API["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert API["startupProbe"]["httpGet"]["path"] == "/health/live"
    assert API["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        assert API[probe]["httpGet"]["path"] in paths
        assert API[probe]["httpGet"]["port"] == "http"
    # storage, the database and Kafka are asked one after the other
    assert API["readinessProbe"]["timeoutSeconds"] > 3 * SECONDS
    assert POD["spec"]["terminationGracePeriodSeconds"] >= 60 + 5


@pytest.mark.parametrize("name", sorted(workloads()))
def test_what_runs_our_image_is_limited_and_not_root(name):
    one = workloads()[name]
    requests, limits = one["resources"]["requests"], one["resources"]["limits"]
    assert 0 < cpus(requests["cpu"]) <= cpus(limits["cpu"]) <= 2
    assert 0 < mebibytes(requests["memory"]) <= mebibytes(limits["memory"]) <= 4096
    assert one["securityContext"]["allowPrivilegeEscalation"] is False
    assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    pod = POD["spec"]["securityContext"] if name == "api" else one["podSecurityContext"]
    assert pod["runAsNonRoot"] is True
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    assert f"USER {pod['runAsUser']}:{pod['runAsGroup']}" in dockerfile
    if name != "api":
        assert one["envConfigMaps"] == [{"name": BY_KIND["ConfigMap"]["metadata"]["name"]}]
        secrets = [ref["secretRef"] for ref in API["envFrom"] if "secretRef" in ref]
        assert one["envSecrets"] == secrets


def test_one_image_with_one_version():
    composed = SERVICES["code"]["image"].split(":")
    (renamed,) = KUSTOMIZATION["images"]
    assert API["image"] == f"{renamed['name']}:{renamed['newTag']}"
    for name in ("code", "webserver", "daemon"):
        image = workloads()[name]["image"]
        assert f"{image['repository']}:{image['tag']}" == API["image"]
    assert renamed["newTag"] == composed[1]
    assert renamed["name"].endswith(f"/{composed[0]}")
    database = VALUES["postgresql"]["image"]
    assert (
        f"{database['repository'].split('/')[-1]}:{database['tag']}"
        == SERVICES["postgres"]["image"]
    )


def test_commands_are_those_of_the_containers():
    assert API["command"] == SERVICES["api"]["command"]
    code = workloads()["code"]
    composed = SERVICES["code"]["command"]
    assert code["codeServerArgs"] == composed[composed.index("-m") :]
    assert str(code["port"]) == composed[composed.index("-p") + 1]
    web = VALUES["dagsterWebserver"]
    assert web["readinessProbe"]["httpGet"]["port"] == web["service"]["port"] >= 1024


def test_settings_are_valid_and_hold_no_secret(monkeypatch):
    data = BY_KIND["ConfigMap"]["data"]
    for name, value in data.items():
        assert isinstance(value, str), name
        assert not re.search(r"PASSWORD|SECRET|ACCESS_KEY|METADATA_URL", name)
        if name.startswith("RECSYS_"):
            assert name in VARIABLES
            monkeypatch.setenv(name, value)
        else:
            assert name in SERVICES["code"]["environment"]
    settings = Settings(_env_file=None)
    assert settings.storage_root.startswith("s3://")
    secrets = {"RECSYS_METADATA_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    # only what this machine's S3 server needs is left out
    assert set(data) | secrets == set(SERVICES["code"]["environment"]) - {
        "AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP",
        "DAGSTER_POSTGRES_URL", "DAGSTER_LOGS_BUCKET", "DAGSTER_LOGS_PREFIX",
    }  # fmt: skip


def test_values_are_keys_of_the_chart():
    assert set(VALUES) <= set(CHART)
    for key, inner in CHART.items():
        if inner is not None:
            assert set(VALUES[key]) <= inner, key
    for deployment in VALUES["dagster-user-deployments"]["deployments"]:
        assert set(deployment) <= USER_DEPLOYMENT
        assert ("codeServerArgs" in deployment) != ("dagsterApiGrpcArgs" in deployment)
    for part, chosen in (
        ("runLauncher", "customRunLauncher"),
        ("computeLogManager", "s3ComputeLogManager"),
    ):
        assert set(VALUES[part]["config"]) == {chosen}
        assert VALUES[part]["type"].lower() == chosen.lower()
    # the chart writes these itself: twice, they are no valid file
    assert not set(VALUES["additionalInstanceConfig"]) & {
        "storage", "scheduler", "run_launcher", "run_coordinator", "run_monitoring", "compute_logs",
        "telemetry", "retention", "sensors", "schedules", "concurrency", "run_queue",
    }  # fmt: skip
    assert VALUES["dagsterDaemon"]["runRetries"] == {"enabled": False}


def test_the_chart_makes_the_instance_of_the_containers():
    launcher = VALUES["runLauncher"]["config"]["customRunLauncher"]
    assert launcher == INSTANCE["run_launcher"] | {"config": {}}
    daemon = VALUES["dagsterDaemon"]
    queue = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    runs = INSTANCE["concurrency"]["runs"]
    assert queue["maxConcurrentRuns"] == runs["max_concurrent_runs"]
    assert queue["tagConcurrencyLimits"] == runs["tag_concurrency_limits"]
    for theirs, ours in RUN_MONITORING.items():
        assert daemon["runMonitoring"][theirs] == INSTANCE["run_monitoring"][ours]
    for part in ("sensors", "schedules"):
        ours = INSTANCE[part]
        assert daemon[part] == {
            "useThreads": ours["use_threads"],
            "numWorkers": ours["num_workers"],
        }
    for part in ("run_retries", "freshness", "nux"):
        assert VALUES["additionalInstanceConfig"][part] == INSTANCE[part]
    assert VALUES["telemetry"] == INSTANCE["telemetry"]
    sensor = VALUES["retention"]["sensor"]["purgeAfterDays"]
    assert INSTANCE["retention"]["sensor"]["purge_after_days"].items() <= sensor.items()
    logs = VALUES["computeLogManager"]["config"]["s3ComputeLogManager"]
    environment = SERVICES["code"]["environment"]
    assert logs == {
        "bucket": environment["DAGSTER_LOGS_BUCKET"],
        "prefix": environment["DAGSTER_LOGS_PREFIX"],
        "uploadInterval": INSTANCE["compute_logs"]["config"]["upload_interval"],
    }
    assert VALUES["global"]["dagsterHome"] in (ROOT / "Dockerfile").read_text("utf-8")


def test_limits_are_on_tags_that_runs_have():
    from recsys_pipeline.jobs import release_job
    from recsys_pipeline.sensors.kafka import TOPIC_TAG

    limited = {one["key"] for one in INSTANCE["concurrency"]["runs"]["tag_concurrency_limits"]}
    assert limited == {"dagster/backfill", TOPIC_TAG, *release_job.tags}


def test_the_chart_is_of_the_dagster_that_is_locked():
    (locked,) = re.findall(
        r"^dagster==([0-9.]+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE
    )
    files = [FOLDER / "dagster.values.yaml", ROOT / "docs/operations.md"]
    for file in files:
        named = re.findall(r"--version ([0-9.]+)", file.read_text("utf-8"))
        assert set(named) == {locked}, file
