"""Brokers for tests: one of each kind a session, started by the first test that asks for it."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, NoReturn

import pytest

from recsys_pipeline_tests.kafka.jars import UnavailableError
from recsys_pipeline_tests.kafka.mock_broker import MockBroker
from recsys_pipeline_tests.kafka.real_broker import RealBroker

if TYPE_CHECKING:
    from recsys_pipeline_tests.kafka.broker import Broker

REAL = (pytest.mark.slow, pytest.mark.real_kafka)
_running: list[Broker] = []


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items):
    """Mark the tests that name `real_broker`; those of `broker` have the marks by its parameter."""
    for item in items:
        if "real_broker" in getattr(item, "fixturenames", ()):
            for mark in REAL:
                item.add_marker(mark)


@pytest.fixture(scope="session")
def mock_broker():
    """librdkafka's mock."""
    with MockBroker() as broker:
        _running.append(broker)
        yield broker
        _running.remove(broker)


@pytest.fixture(scope="session")
def real_broker():
    """Apache Kafka. Skipped where it can't be had, but not in CI."""
    try:
        broker = RealBroker()
    except UnavailableError as error:
        give_up(error)
    with broker:
        _running.append(broker)
        yield broker
        _running.remove(broker)


@pytest.fixture(params=["mock", pytest.param("real", marks=REAL)])
def broker(request) -> Broker:
    """Each kind in turn."""
    return request.getfixturevalue(f"{request.param}_broker")


@pytest.fixture(autouse=True)
def _up_again():
    """A test that leaves a broker down does not fail the next."""
    yield
    for running in _running:
        running.up()


@pytest.fixture
def topic():
    """A function that makes up names of topics, which no test has used: brokers are shared."""
    return lambda prefix="topic": f"{prefix}-{uuid.uuid4().hex[:12]}"


def give_up(error: UnavailableError) -> NoReturn:
    """Skip a test for want of a real broker; in CI, which has one, fail it."""
    if os.environ.get("CI") == "true":
        raise error
    pytest.skip(f"no real Kafka here: {error}")
