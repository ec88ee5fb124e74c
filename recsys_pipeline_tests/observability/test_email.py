"""An e-mail says the same as a call; what a server refuses stays owed to it alone."""

from __future__ import annotations

import email
import email.policy
import socketserver
import threading

import pytest
from pydantic import SecretStr

from recsys_pipeline.errors import ServiceError
from recsys_pipeline.observability.alerts import send_alerts
from recsys_pipeline.observability.email import send_email
from recsys_pipeline.observability.troubles import Trouble, end, note
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline_tests.landed import settings_for
from recsys_pipeline_tests.receiver import receiver

DAYS = tuple(f"2025-01-{day:02d}" for day in range(1, 13))
HELD = Trouble(
    "held", "validated_items", "acme", "12 days of acme", "recsys quarantine accept", DAYS
)


class Talk(socketserver.StreamRequestHandler):
    """As much SMTP as it takes to be handed an e-mail."""

    def handle(self):
        self.say("220 test")
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            if word == "DATA":
                self.say("354 go on")
                body = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    body += part
                self.server.mails.append(
                    email.message_from_bytes(body, policy=email.policy.default)
                )
            self.server.lines.append(line)
            self.say("550 no" if word == self.server.refuses else "250 fine")

    def say(self, words):
        self.wfile.write(f"{words}\r\n".encode())


@pytest.fixture
def smtp():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Talk) as server:
        server.daemon_threads = True
        server.mails, server.lines, server.refuses = [], [], ""
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def settings(smtp, tmp_path):
    return settings_for(
        tmp_path,
        alert_email_to=("ops@example.com", "lead@example.com"),
        smtp_host="127.0.0.1",
        smtp_port=smtp.server_address[1],
        smtp_security="none",
        ui_url="https://ui.example",
    )


def test_it_says_what_to_do_to_everybody(settings, smtp, tmp_path):
    objects = open_store(str(tmp_path))
    assert note(settings, objects, HELD)
    assert send_alerts(settings, objects) == 1
    (mail,) = smtp.mails
    assert mail["Subject"] == "[recsys] Days held: validated_items of acme"
    assert mail["To"] == "ops@example.com, lead@example.com"
    text = mail.get_content()
    assert "days: 2025-01-01, " in text
    assert " and 2 more" in text
    assert "next: recsys quarantine accept" in text
    assert "run:" not in text
    assert end(settings, objects, HELD)
    send_alerts(settings, objects)
    assert smtp.mails[1]["Subject"].startswith("[recsys] Over: ")
    assert "next:" not in smtp.mails[1].get_content()


def test_a_channel_that_has_taken_it_is_not_asked_again(settings, smtp, tmp_path):
    objects = open_store(str(tmp_path))
    with receiver() as hook:
        both = settings.model_copy(
            update={
                "alert_webhook_url": f"http://127.0.0.1:{hook.server_port}/",
                "alert_webhook_secret": SecretStr("s"),
            }
        )
        smtp.refuses = "MAIL"
        note(both, objects, HELD)
        for _ in range(2):
            with pytest.raises(ServiceError, match="RECSYS_SMTP_HOST"):
                send_alerts(both, objects)
        smtp.refuses = ""
        assert send_alerts(both, objects) == 1
        assert len(hook.calls) == 1
        assert len(smtp.mails) == 1


def test_a_header_takes_no_second_line(settings, smtp):
    send_email(settings, "a\r\nBcc: x@example.com", "text", "id")
    assert smtp.mails[0]["Bcc"] is None
    assert smtp.mails[0]["Subject"] == "a Bcc: x@example.com"


def test_a_server_without_tls_gets_nothing_where_tls_is_set(settings, smtp):
    secure = settings.model_copy(
        update={"smtp_security": "starttls", "smtp_user": "u", "smtp_password": SecretStr("secret")}
    )
    with pytest.raises(ServiceError, match="does not take") as refused:
        send_email(secure, "s", "text", "id")
    assert smtp.mails == []
    assert not any("AUTH" in line.upper() for line in smtp.lines)
    assert "secret" not in str(refused.value)
