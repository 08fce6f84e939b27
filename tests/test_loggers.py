"""The loggers during the tests."""

import logging

import pytest
from click.testing import CliRunner

from gnntrack.cli import cli


@pytest.fixture(scope="module", autouse=True)
def command():
    """Run a command, which changes the loggers, before the fixtures of each test."""
    CliRunner().invoke(cli, ["info", "nowhere"])
    assert not logging.getLogger("gnntrack").propagate


def test_a_command_of_a_fixture_does_not_hide_messages(caplog):
    with caplog.at_level(logging.INFO):
        logging.getLogger("gnntrack").info("heard")
    assert "heard" in caplog.text
