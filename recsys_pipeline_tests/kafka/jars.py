"""Apache Kafka's jars, fetched once by Maven into a cache folder of the user."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

KAFKA = "4.4.0"
_SLF4J = "1.7.36"  # the generation that this Kafka is compiled for
_JAVA = 17
_FETCH_S = 180

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>recsys_pipeline_tests</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{KAFKA}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>{_SLF4J}</version>
    </dependency>
  </dependencies>
</project>
"""


class UnavailableError(Exception):
    """A real broker can't be had on this machine."""


def java() -> str:
    """The path of a Java that can run Kafka.

    Raises:
        UnavailableError: There is none, or it is too old.
    """
    path = shutil.which("java")
    if path is None:
        raise UnavailableError(f"no `java` on the PATH; Kafka {KAFKA} needs {_JAVA} or later")
    shown = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', shown)
    if found is None or int(found[1]) < _JAVA:
        raise UnavailableError(f"Kafka {KAFKA} needs Java {_JAVA} or later; {path} is {shown!r}")
    return path


def class_path() -> str:
    """All jars of the broker; fetched by the first call on a machine, some 43 MB.

    Raises:
        UnavailableError: There is no Maven, or it could not fetch them.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "recsys_pipeline_tests" / f"kafka-{KAFKA}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _complete(folder):
            _fetch(folder)
    return f"{folder / 'jars'}/*"


def _complete(folder: Path) -> bool:
    pom = folder / "pom.xml"
    return pom.is_file() and pom.read_text("utf-8") == _POM and any(folder.glob("jars/*.jar"))


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise UnavailableError(f"no `mvn` on the PATH to fetch Kafka {KAFKA}")
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder.parent) as name:
        made = Path(name) / "kafka"
        made.mkdir()
        (made / "pom.xml").write_text(_POM, "utf-8")
        command = [maven, "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"]
        try:
            run = subprocess.run(
                [*command, f"-DoutputDirectory={made / 'jars'}"],
                cwd=made,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_FETCH_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"Maven did not fetch Kafka {KAFKA} in {_FETCH_S} s") from None
        if run.returncode != 0:
            raise UnavailableError(f"Maven could not fetch Kafka {KAFKA}: {run.stdout[-1000:]}")
        # whole or not at all: a fetch that was killed leaves no folder of this name
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
