"""docker-compose.yml and the files that it mounts: limits, health, secrets, pins, ports, paths."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess

import pytest
import yaml
from prometheus_client import REGISTRY

import recsys_pipeline.api.measures  # noqa: F401 - registers the measures
from recsys_pipeline_tests.deploy.processes import BIN, ROOT

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
LONG_RUNNING = {name for name, service in SERVICES.items() if service["restart"] != "no"}
REQUIRED = re.compile(r"\$\{([A-Z0-9_]+):\?run deploy/secrets\.sh\}")
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY")


def environment(name) -> dict[str, str]:
    return SERVICES[name].get("environment", {})


def scraped() -> list[str]:
    """Return what Prometheus asks, as host:port."""
    config = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text("utf-8"))
    return [
        target
        for job in config["scrape_configs"]
        for one in job["static_configs"]
        for target in one["targets"]
    ]


def mounts() -> dict[str, str]:
    """Return what is mounted of the repository: its path by the container's."""
    found = {}
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            if source.startswith("./"):
                assert mode == ["ro"], volume
                found[f"{name}:{target}"] = source
    return found


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_has_limits_and_may_not_gain_rights(name):
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert 0 < float(limits["cpus"]) <= 2
    assert re.fullmatch(r"(\d+M|[1-4]G)", limits["memory"])
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
    assert SERVICES[name]["logging"] == {"driver": "local"}
    if "build" in SERVICES[name]:
        assert SERVICES[name]["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", sorted(LONG_RUNNING))
def test_a_service_that_stays_has_a_health_check_that_ends(name):
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    for key in ("interval", "timeout"):
        assert re.fullmatch(r"\d+s", check[key])
    # it asks this very service: a port of its command, its settings or its own
    for port in re.findall(
        r"(?:127\.0\.0\.1|localhost):(\d+)|^(\d{4,5})$", " ".join(check["test"])
    ):
        number = next(filter(None, port))
        rest = {key: value for key, value in SERVICES[name].items() if key != "healthcheck"}
        known = {"api": {"8002"}, "prometheus": {"9090"}, "proxy": {"3000"}}.get(name, set())
        assert number in json.dumps(rest) or number in known or f"{name}:{number}" in scraped()


def test_every_secret_is_a_variable_without_a_default():
    for name in SERVICES:
        for variable, value in environment(name).items():
            if SECRET.search(variable):
                assert REQUIRED.fullmatch(value), f"{name}: {variable}"
            elif "://" in value and "@" in value:
                assert REQUIRED.search(value), f"{name}: {variable}"
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    assert not re.findall(r"\$\{[A-Z0-9_]*(?:PASSWORD|KEY|SECRET)[A-Z0-9_]*:?-", text)


def test_the_script_makes_each_secret_once_and_for_the_owner_alone(tmp_path):
    wanted = set(REQUIRED.findall((ROOT / "docker-compose.yml").read_text("utf-8")))
    assert len(wanted) >= 6
    script = tmp_path / "deploy" / "secrets.sh"
    script.parent.mkdir()
    script.write_bytes((ROOT / "deploy/secrets.sh").read_bytes())
    assert os.access(ROOT / "deploy/secrets.sh", os.X_OK)
    env = tmp_path / ".env"
    # a last line that has no end, an empty secret, and one that is there
    env.write_text("OPERATOR_PASSWORD=mine\nVIEWER_PASSWORD=\nRECSYS_SEED=7", "utf-8")
    for _ in range(2):
        said = subprocess.run(["bash", script], check=True, capture_output=True, text=True).stdout
    assert said == ""
    lines = env.read_text("utf-8").splitlines()
    assert "RECSYS_SEED=7" in lines
    # of two lines the last one counts, for compose and for a shell
    values = dict(line.split("=", 1) for line in lines)
    assert values["OPERATOR_PASSWORD"] == "mine"
    made = {name: values[name] for name in wanted - {"OPERATOR_PASSWORD"}}
    assert all(re.fullmatch(r"[0-9a-f]{40}", value) for value in made.values()), made
    assert len(set(made.values())) == len(made)
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    assert (ROOT / ".gitignore").read_text("utf-8").splitlines().count("/.env") == 1


def test_images_have_a_full_version():
    images = {service["image"] for service in SERVICES.values() if "build" not in service}
    images |= set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    for image in images:
        # releases of PostgreSQL have two numbers
        assert re.search(r"(:v?\d+\.\d+\.\d+|postgres:\d+\.\d+)(-[a-z]+)*$", image), image


def test_what_is_mounted_is_there_and_where_its_program_looks():
    found = mounts()
    for path in found.values():
        assert (ROOT / path).exists(), path
    assert found["prometheus:/etc/prometheus/prometheus.yml"] == "./deploy/prometheus.yml"
    assert "--config.file=/etc/prometheus/prometheus.yml" in SERVICES["prometheus"]["command"]
    assert found["proxy:/etc/nginx/templates"] == "./deploy/proxy"
    for kind in ("datasources", "dashboards"):
        assert found[f"grafana:/etc/grafana/provisioning/{kind}"] == f"./deploy/grafana/{kind}"


def test_webservers_are_reached_through_the_proxy_alone():
    for name, service in SERVICES.items():
        if "dagster-webserver" in service.get("command", []):
            assert "ports" not in service, name
            read_only = "--read-only" in service["command"]
            assert read_only == (name == "viewer")
    config = (ROOT / "deploy/proxy/default.conf.template").read_text("utf-8")
    assert set(re.findall(r"(\w+):3000;", config)) == {"webserver", "viewer"}
    assert SERVICES["proxy"]["ports"] == ["127.0.0.1:3000:3000"]
    assert "listen 3000;" in config
    users = (ROOT / "deploy/proxy/users.template").read_text("utf-8")
    named = dict(re.findall(r"^(\w+):\{PLAIN\}\$\{(\w+)\}$", users, re.MULTILINE))
    assert named == {"operator": "OPERATOR_PASSWORD", "viewer": "VIEWER_PASSWORD"}
    assert set(named.values()) == set(environment("proxy"))
    # its image fills in every variable of this form that the environment has
    assert not set(re.findall(r"\$\{?([A-Z_]+)", config))


def test_what_is_scraped_listens():
    targets = scraped()
    assert f"api:{environment('api')['RECSYS_API_METRICS_PORT']}" in targets
    for target in targets:
        host, _, port = target.partition(":")
        assert port in json.dumps(SERVICES[host]), target
        assert f":{port}:" not in json.dumps(SERVICES[host].get("ports", [])), target


def test_dashboards_show_measures_that_exist():
    source = yaml.safe_load((ROOT / "deploy/grafana/datasources/prometheus.yml").read_text("utf-8"))
    (prometheus,) = source["datasources"]
    assert prometheus["url"] == "http://prometheus:9090"
    provider = yaml.safe_load((ROOT / "deploy/grafana/dashboards/provider.yml").read_text("utf-8"))
    inside = provider["providers"][0]["options"]["path"]
    assert inside == "/etc/grafana/provisioning/dashboards"
    home = environment("grafana")["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / home.replace(inside, "deploy/grafana/dashboards")).is_file()

    dashboard = json.loads((ROOT / "deploy/grafana/dashboards/uploads.json").read_text("utf-8"))
    measured = {}
    for family in REGISTRY.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket"]}.get(family.type, [""])
        measured |= {f"{family.name}{suffix}": family for suffix in suffixes}
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(queries) >= 8
    for query in queries:
        names = re.findall(r"\b((?:recsys|process)_\w+)", query)
        assert names
        assert set(names) <= set(measured), query
    uids = {panel["datasource"]["uid"] for panel in dashboard["panels"]}
    assert uids == {prometheus["uid"]}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_image_is_checked_by_the_command_that_it_runs():
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    (check,) = re.findall(r"HEALTHCHECK .*\\\n\s+CMD (\[.*\])", last)
    words = yaml.safe_load(check)
    assert words == SERVICES["code"]["healthcheck"]["test"][1:]
    (command,) = re.findall(r"^CMD (\[.*\])", last, re.MULTILINE)
    assert yaml.safe_load(command) == SERVICES["code"]["command"]
    assert (BIN / words[0]).is_file()
    assert words[-1] == SERVICES["code"]["command"][SERVICES["code"]["command"].index("-p") + 1]
    # a number: a cluster that forbids root can't look up a name
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE)


def commands(page) -> list[list[str]]:
    """Return the words of the lines of a page's shell blocks."""
    blocks = re.findall(
        r"^```sh\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return [shlex.split(line, comments=True) for line in "".join(blocks).splitlines()]


def test_commands_of_the_page_for_operators_exist():
    from recsys_pipeline.cli.main import app

    names = {group.name for group in app.registered_groups}
    names |= {c.name or c.callback.__name__.replace("_", "-") for c in app.registered_commands}
    checked = 0
    for words in commands("docs/operations.md"):
        if words[:2] == ["docker", "compose"]:
            verb, *rest = (word for word in words[2:] if not word.startswith("-"))
            assert verb in {"build", "exec", "run", "stop", "up"}
            services = rest[:1] if verb in {"exec", "run"} else rest
            assert set(services) <= set(SERVICES), words
            inner = rest[1:] if verb in {"exec", "run"} else []
        else:
            inner = words[words.index("--") + 1 :] if "--" in words else []
            for word in words:
                if word.startswith("deploy/") and words[0] != "kubectl":
                    assert (ROOT / word).exists(), word
        if inner and inner[0] == "recsys":
            assert inner[1] in names, inner
            checked += 1
        elif inner and inner[0] == "dagster":
            assert (BIN / inner[0]).is_file()
            checked += 1
    assert checked >= 5


def test_the_page_for_operators_says_what_listens():
    text = (ROOT / "docs/operations.md").read_text("utf-8")
    told = set(re.findall(r"^\| `127\.0\.0\.1:(\d+)` ", text, re.MULTILINE))
    published = {port.split(":")[1] for one in SERVICES.values() for port in one.get("ports", [])}
    assert told == published
    limits = [SERVICES[name]["deploy"]["resources"]["limits"]["memory"] for name in LONG_RUNNING]
    mebibytes = sum(int(one[:-1]) * {"M": 1, "G": 1024}[one[-1]] for one in limits)
    assert f"add up to {round(mebibytes / 1024)} GiB" in text
