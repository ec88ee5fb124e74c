"""The files around the package name only what exists: ports, paths, commands, variables, pins."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from recsys_pipeline.settings import Settings

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
OURS = {name for name, service in SERVICES.items() if "build" in service}
VARIABLES = {f"RECSYS_{name.upper()}" for name in Settings.model_fields}
BIN = Path(sys.executable).parent
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock")


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def pins(name: str) -> dict[str, set[str]]:
    """Versions by package; a universal lock may have one for each range of Python."""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", text(name), re.MULTILINE):
        found.setdefault(package, set()).add(version)
    return found


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# --- locks


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_hashes_and_no_address(name):
    blocks = re.split(r"^(?=[a-z0-9])", text(name), flags=re.MULTILINE)
    pinned = [block for block in blocks if "==" in block]
    assert len(pinned) >= 5
    assert [block.split()[0] for block in pinned if "--hash=sha256:" not in block] == []
    assert "://" not in text(name)
    assert "--index" not in text(name)


@pytest.mark.parametrize(
    ("lock", "declared"),
    [
        (
            "requirements.lock",
            PYPROJECT["project"]["dependencies"]
            + PYPROJECT["project"]["optional-dependencies"]["postgres"],
        ),
        (
            "requirements-dev.lock",
            PYPROJECT["project"]["dependencies"] + PYPROJECT["dependency-groups"]["dev"],
        ),
        ("requirements-build.lock", PYPROJECT["dependency-groups"]["build"]),
        ("requirements-dev.lock", PYPROJECT["build-system"]["requires"]),
    ],
)
def test_locks_meet_what_pyproject_declares(lock, declared):
    locked = pins(lock)
    for requirement in map(Requirement, declared):
        versions = locked.get(canonical(requirement.name))
        assert versions, f"{requirement.name} is not in {lock}: run `make lock`"
        for version in versions:
            assert requirement.specifier.contains(version), f"{requirement} in {lock}"


def test_the_development_set_contains_the_runtime_set():
    runtime, development = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name: development.get(name) for name in runtime} == runtime


def test_all_of_dagster_is_one_release():
    core = {"dagster", "dagster-graphql", "dagster-pipes", "dagster-shared", "dagster-webserver"}
    locked = pins("requirements-dev.lock")
    assert len({version for name in core for version in locked[name]}) == 1


# --- Make, scripts, CI


def test_every_make_target_is_phony_and_explained():
    lines = text("Makefile").splitlines()
    phony = set(next(line for line in lines if line.startswith(".PHONY:")).split()[1:])
    targets = {found[1] for line in lines if (found := re.match(r"([a-z][a-z-]*):", line))}
    assert targets == phony
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env=without_make(),
    ).stdout
    assert {line.split()[0] for line in shown.splitlines()} == targets


def without_make() -> dict[str, str]:
    """The environment without what an outer make hands down."""
    return {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}


@pytest.mark.parametrize(
    "script", [".ci/run", "scripts/setup.sh", "scripts/lock.sh", "scripts/dev.sh"]
)
def test_scripts_can_be_executed_and_parsed(script):
    path = ROOT / script
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text("utf-8")
    subprocess.run(["bash", "-n", path], check=True)


@pytest.mark.parametrize("file", ["Makefile", ".ci/run", ".github/workflows/ci.yml"])
def test_commands_that_are_named_exist(file):
    for target in re.findall(r"\bmake ([a-z][a-z-]+)", text(file)):
        assert re.search(rf"^{target}:", text("Makefile"), re.MULTILINE), target
    for path in re.findall(r"(?<![\w./])(scripts/[\w.]+|\.ci/run)\b", text(file)):
        assert (ROOT / path).is_file(), path
    for tool in re.findall(r"(?:\.venv/bin|\$\(BIN\))/([a-z-]+)", text(file)):
        assert (BIN / tool).is_file(), tool


def test_ci_runs_what_make_check_runs_on_every_supported_python():
    workflow = yaml.safe_load(text(".github/workflows/ci.yml"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert {step["run"] for step in steps if "run" in step} == {".ci/run", "make test"}
    versions = re.findall(r"\"(3\.\d+)\"", text(".github/workflows/ci.yml"))
    low, high = re.fullmatch(
        r">=3\.(\d+),<3\.(\d+)", PYPROJECT["project"]["requires-python"]
    ).groups()
    assert sorted(versions) == [f"3.{minor}" for minor in range(int(low), int(high))]


def test_hooks_are_local_and_their_tools_are_locked():
    config = yaml.safe_load(text(".pre-commit-config.yaml"))
    locked = pins("requirements-dev.lock")
    for repository in config["repos"]:
        assert repository["repo"] == "local"
        for hook in repository["hooks"]:
            tool = hook["entry"].split()[0].removeprefix(".venv/bin/")
            assert (BIN / tool).is_file(), tool
            assert {"lint-imports": "import-linter"}.get(tool, tool) in locked


# --- dev.env


def test_dev_env_holds_in_a_folder_with_spaces_and_quotes(tmp_path):
    root = tmp_path / 'it\'s a "folder" $HOME `x`'
    (root / "scripts").mkdir(parents=True)
    source = text("scripts/setup.sh")
    functions = source[source.index("quoted() {") : source.index("export UV_PYTHON_DOWNLOADS")]
    writer = f"set -euo pipefail\nroot=$PWD\n{functions}\nwrite_dev_env\n"
    subprocess.run(["bash", "-c", writer], cwd=root, check=True)

    def sourced(shell: str, env: dict[str, str] | None = None) -> list[str]:
        report = 'printf "%s\\n" "$DAGSTER_HOME" "${RECSYS_STORAGE_ROOT:-}" "${RECSYS_START_DATE:-}" "$PATH"'
        done = subprocess.run(
            [shell, "-ec", f". ./dev.env; {report}"],
            cwd=root,
            env={"PATH": "/usr/bin:/bin", **(env or {})},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    for shell in filter(shutil.which, ["bash", "dash", "zsh"]):
        assert sourced(shell) == [
            f"{root}/.dagster",
            f"{root}/data",
            "",
            f"{root}/.venv/bin:/usr/bin:/bin",
        ]
    (root / ".env").write_text("RECSYS_STORAGE_ROOT=s3://bucket/x\n")
    (root / ".dagster").mkdir()
    (root / ".dagster" / "demo.env").write_text("export RECSYS_START_DATE=2025-02-03\n")
    assert sourced("bash")[1:3] == ["", "2025-02-03"]
    (root / ".env").write_text("RECSYS_START_DATE=2025-03-04\n")
    assert sourced("bash")[1:3] == [f"{root}/data", ""]


# --- Dagster's files


def test_every_way_to_load_the_code_gives_the_location_one_name():
    project = PYPROJECT["tool"]["dg"]["project"]
    target = project["code_location_target_module"]
    assert project["code_location_name"] == target
    workspace = yaml.safe_load(text("workspace.yaml"))
    assert workspace["load_from"] == [{"python_module": target}]
    assert target in SERVICES["code"]["command"]
    server = yaml.safe_load(text("deploy/workspace.yaml"))["load_from"][0]["grpc_server"]
    assert server["location_name"] == target
    assert server["host"] in SERVICES
    assert str(server["port"]) in SERVICES[server["host"]]["command"]


@pytest.mark.parametrize("file", ["dagster.yaml", "deploy/dagster.yaml"])
def test_instances_are_valid_bounded_and_quiet(file, tmp_path):
    shutil.copy(ROOT / file, tmp_path / "dagster.yaml")
    # In a process of its own: Dagster's schema depends on nothing but that file.
    code = (
        "from dagster._core.instance.config import dagster_instance_config as read\n"
        "import sys\n"
        "config, _ = read(sys.argv[1])\n"
        "runs = config['concurrency']['runs']['max_concurrent_runs']\n"
        "assert 1 <= runs <= 8, runs\n"
        "assert 'run_queue' not in config and 'run_coordinator' not in config\n"
        "assert config['telemetry'] == {'enabled': False}\n"
        "assert config['nux'] == {'enabled': False}\n"
        "assert set(config['retention']) == {'schedule', 'sensor'}\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, timeout=60)


# --- containers


def test_images_are_pinned():
    images = [service["image"] for service in SERVICES.values()]
    images += re.findall(r"^FROM (\S+)", text("Dockerfile"), re.MULTILINE)
    for image in images:
        _, _, tag = image.rpartition(":")
        assert re.search(r"\d", tag), image
        assert "latest" not in image


def test_ports_are_published_on_the_loopback_only():
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert {port.split(":")[1] for port in published} >= {"3000", "9092"}
    for port in published:
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port), port


def test_services_wait_only_for_services_that_can_become_ready():
    for service in SERVICES.values():
        for name, condition in service.get("depends_on", {}).items():
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[name], name
            else:
                assert SERVICES[name]["restart"] == "no", name
    for name, service in SERVICES.items():
        assert "healthcheck" in service or service.get("restart") == "no", name


def test_commands_of_our_containers_exist():
    commands = [SERVICES[name]["command"] for name in sorted(OURS)]
    checks = [SERVICES[name].get("healthcheck", {}).get("test") for name in sorted(OURS)]
    commands += [check[1:] for check in checks if check]
    commands += [
        yaml.safe_load(found)
        for found in re.findall(r"^CMD (\[.*\])", text("Dockerfile"), re.MULTILINE)
    ]
    assert len(commands) >= 8
    dockerfile = text("Dockerfile")
    for command in commands:
        assert (BIN / command[0]).is_file(), command
        for word in command[1:]:
            if re.fullmatch(r"[\w/.]+\.(py|yaml)", word):
                assert (ROOT / "deploy" / word).is_file(), word
                assert f"deploy/{word}" in dockerfile


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(OURS))
def test_options_of_our_containers_exist(name):
    command = SERVICES[name]["command"]
    if command[0] == "python":
        return
    words = [word for word in command if not re.match(r"-|\d", word) and "." not in word]
    done = subprocess.run(
        [BIN / words[0], *words[1:], "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "200"},
    )
    for option in (word for word in command if word.startswith("-")):
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", done.stdout), option


def test_variables_of_our_containers_are_read_by_someone():
    others = {"AWS_", "DAGSTER_EVENT_BATCH_SIZE", "DAGSTER_LOGS_", "DAGSTER_POSTGRES_URL"}
    for name in OURS:
        for variable in SERVICES[name]["environment"]:
            if variable.startswith("RECSYS_"):
                assert variable in VARIABLES, variable
            else:
                assert any(variable.startswith(prefix) for prefix in others), variable
    read = re.findall(r"env: (\w+)", text("deploy/dagster.yaml"))
    assert set(read) <= set(SERVICES["daemon"]["environment"])


def test_the_example_values_of_the_containers_are_valid_settings(monkeypatch):
    for variable, value in SERVICES["code"]["environment"].items():
        if variable.startswith("RECSYS_"):
            default = re.fullmatch(r"\$\{\w+:-(.*)\}", value)
            monkeypatch.setenv(variable, default[1] if default else value)
    settings = Settings(_env_file=None)
    assert settings.storage_root.startswith("s3://")
    assert settings.schedules_running


def test_addresses_between_containers_meet():
    environment = SERVICES["code"]["environment"]
    kafka = SERVICES["kafka"]["environment"]
    assert (
        f"INTERNAL://{environment['RECSYS_KAFKA_BOOTSTRAP_SERVERS']}"
        in kafka["KAFKA_ADVERTISED_LISTENERS"]
    )
    listeners = dict(part.split("://:") for part in kafka["KAFKA_LISTENERS"].split(","))
    protocols = dict(
        part.split(":") for part in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")
    )
    assert set(listeners) == set(protocols)
    assert f"127.0.0.1:{listeners['HOST']}:{listeners['HOST']}" in SERVICES["kafka"]["ports"]
    s3 = SERVICES["s3"]
    assert environment["AWS_ENDPOINT_URL"] == "http://s3" + s3["command"][1]
    assert environment["AWS_ACCESS_KEY_ID"] == s3["environment"]["ROOT_ACCESS_KEY"]
    assert environment["AWS_SECRET_ACCESS_KEY"] == s3["environment"]["ROOT_SECRET_KEY"]
    postgres = SERVICES["postgres"]["environment"]
    assert environment["DAGSTER_POSTGRES_URL"] == (
        f"postgresql+psycopg2://{postgres['POSTGRES_USER']}:{postgres['POSTGRES_PASSWORD']}"
        f"@postgres:5432/{postgres['POSTGRES_DB']}"
    )


def test_volumes_are_declared_and_used():
    used = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if not volume.startswith("./")
    }
    assert used == set(COMPOSE["volumes"])


def test_the_image_copies_what_exists_and_what_the_build_context_lets_through():
    ignored = text(".dockerignore").splitlines()
    assert ignored[0] == "*"
    allowed = {line[1:].rstrip("/") for line in ignored if line.startswith("!")}
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.*)$", text("Dockerfile"), re.MULTILINE)
        for word in [part for part in line.split() if not part.startswith("--")][:-1]
    ]
    assert set(copied) == allowed
    for path in copied:
        assert (ROOT / path).exists(), path


def test_the_image_does_not_run_as_root():
    last = text("Dockerfile").rpartition("FROM ")[2]
    assert re.search(r"^USER (?!root)", last, re.MULTILINE)


# --- the repository itself


def ours() -> list[Path]:
    """Files of the project, without what a run or an install makes."""
    folders = (
        "recsys_pipeline", "recsys_pipeline_tests", "scripts", "deploy", "docs", ".ci", ".github",
    )  # fmt: skip
    found = [path for path in ROOT.iterdir() if path.suffix in {".toml", ".yaml", ".yml", ".md"}]
    for folder in folders:
        found += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    return [path for path in found if "__pycache__" not in path.parts]


def test_no_file_is_too_large_or_left_open():
    files = ours()
    assert len(files) > 50
    for path in files:
        assert path.stat().st_size < 2_000_000, path
        if path.suffix in {".py", ".sh", ".toml", ".yml", ".yaml"} and path != Path(__file__):
            found = re.search(r"\b(TODO|FIXME|XXX|HACK)\b", path.read_text("utf-8"))
            assert found is None, path
