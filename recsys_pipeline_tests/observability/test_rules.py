"""Each alert is of measures that there are, and has a runbook whose commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
import typer
import yaml
from prometheus_client import REGISTRY

import recsys_pipeline.api.measures  # noqa: F401  # registers the service's measures
from recsys_pipeline.cli.main import app
from recsys_pipeline.observability.docs import PAGE, measures_table, with_table
from recsys_pipeline.observability.families import FAMILIES

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/alerts.yml"
RUNBOOK = (ROOT / "docs/runbook.md").read_text("utf-8")
ALERTS = [r for g in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for r in g["rules"]]

NAMES = {family.name: set(family.labels) for family in FAMILIES} | {
    name: set(of._labelnames) | ({"le"} if name.endswith("_bucket") else set())
    for name, of in REGISTRY._names_to_collectors.items()
    if name.startswith("recsys_")
}
# Prometheus' own, of each scrape
NAMES["up"] = {"job", "instance"}
WORDS = {
    *("sum", "max", "min", "by", "rate", "delta", "time", "absent", "histogram_quantile"),
    *("and", "or", "unless", "offset"),
}


def parsed(expression: str):
    """Return measures with the labels that are asked of each, and labels grouped by.

    Raises:
        AssertionError: A bracket or a quote is not closed, or a word is no measure and no function.
    """
    plain = re.sub(r'"[^"]*"', '""', expression)
    assert plain.count('"') % 2 == 0
    closing = {")": "(", "}": "{", "]": "["}
    opened = []
    for sign in plain:
        if sign in "({[":
            opened.append(sign)
        elif sign in closing:
            assert opened, f"{sign} closes nothing"
            assert opened.pop() == closing[sign]
    assert not opened
    grouped = set(re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", plain))))
    plain = re.sub(r"\bby \([^)]*\)", "by ()", plain)
    asked = {}
    for name, labels in re.findall(r"([a-z_]\w*)\s*\{([^}]*)\}", plain):
        asked.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", labels))
    plain = re.sub(r"\{[^}]*\}", "", plain)
    plain = re.sub(r"\[\d+[smhd]\]|\boffset \d+[smhd]", "", plain)
    for word in re.findall(r"[a-zA-Z_]\w*", plain):
        assert word in WORDS or word in NAMES, f"{word} is no measure"
        if word in NAMES:
            asked.setdefault(word, set())
    return asked, grouped


def name(rule):
    return rule["alert"]


@pytest.mark.parametrize("rule", ALERTS, ids=name)
def test_an_alert_is_of_measures_that_there_are(rule):
    asked, grouped = parsed(rule["expr"])
    assert asked, "it measures nothing"
    for measure, labels in asked.items():
        assert labels <= NAMES[measure], measure
        assert grouped <= NAMES[measure], measure
    assert re.search(r"[<>]|==", rule["expr"])
    known = set().union(*(NAMES[measure] for measure in asked))
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    kept = grouped if "sum" in rule["expr"] or "max" in rule["expr"] else known
    assert used <= kept, "a label that the expression has summed away is empty in the message"


@pytest.mark.parametrize(
    "wrong",
    [
        "sum(recsys_stored_rows",
        "recsys_nothing > 1",
        'sum(up{job="x") > 1',
        "summ(up) > 1",
        "up] > 1",
    ],
)
def test_the_check_of_expressions_can_fail(wrong):
    with pytest.raises(AssertionError):
        parsed(wrong)


@pytest.mark.parametrize("rule", ALERTS, ids=name)
def test_an_alert_has_a_runbook(rule):
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert page == "docs/runbook.md"
    assert anchor == rule["alert"].lower()
    section = RUNBOOK.partition(f"\n## {rule['alert']}\n")[2].partition("\n## ")[0]
    for part in ("**Means.**", "**Look at.**", "**Do.**"):
        assert part in section, part
    assert re.search(r"recsys |curl |df ", section), "it has a command"
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"]["summary"]


def test_alerts_have_names_of_their_own_and_no_section_is_left_over():
    names = [rule["alert"] for rule in ALERTS]
    assert len(set(names)) == len(names)
    assert re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE) == names


COMMANDS = sorted(
    set(
        re.findall(r"^recsys .*$", RUNBOOK, re.MULTILINE)
        + re.findall(r"`(recsys [^`\n]*)`", RUNBOOK)
    )
)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_runbook_exist(line):
    command = typer.main.get_command(app)
    words = line.split()[1:]
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        if not words or words[0].startswith("-"):
            break
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    options = {flag for parameter in command.params for flag in parameter.opts}
    for word in words:
        if word.startswith("--"):
            assert word in options, f"{line}: {word}"


def test_the_page_has_the_measures_of_today():
    page = PAGE.read_text("utf-8")
    assert with_table(page) == page, "run `make docs`"
    assert measures_table() in page
    for measure in re.findall(r"`(recsys_\w+)`", page):
        assert measure in NAMES or f"{measure}_bucket" in NAMES, measure
