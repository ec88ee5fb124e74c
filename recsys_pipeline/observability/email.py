"""E-mail by SMTP."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import closing, suppress
from email.message import EmailMessage
from typing import TYPE_CHECKING

from recsys_pipeline.errors import ServiceError

if TYPE_CHECKING:
    from recsys_pipeline.settings import Settings

TIMEOUT_SECONDS = 10.0


def send_email(settings: Settings, subject: str, text: str, message_id: str) -> None:
    """Send one e-mail to all addresses of the settings.

    Args:
        settings: Server, sender and addresses.
        subject: A line; line breaks in it become spaces.
        text: The body.
        message_id: The same for every attempt, so that a repeat can be told.

    Raises:
        ServiceError: The server does not take it.
    """
    mail = EmailMessage()
    mail["Subject"] = " ".join(subject.split())
    mail["From"] = settings.smtp_from
    mail["To"] = ", ".join(settings.alert_email_to)
    mail["Message-ID"] = f"<{message_id}@recsys>"
    mail.set_content(text)
    host, port = str(settings.smtp_host), settings.smtp_port
    try:
        with closing(_connected(settings, host, port)) as server:
            server.send_message(mail)
            with suppress(OSError, smtplib.SMTPException):
                server.quit()  # it has the e-mail already
    except (OSError, smtplib.SMTPException) as error:
        # the words of a server may quote the log-in
        words = f"{host}:{port} does not take the e-mail ({type(error).__name__})"
        raise ServiceError("RECSYS_SMTP_HOST", words, "It is sent again") from None


def _connected(settings: Settings, host: str, port: int) -> smtplib.SMTP:
    """Return a connection, encrypted and logged in as the settings say."""
    context = ssl.create_default_context()
    if settings.smtp_security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            host, port, timeout=TIMEOUT_SECONDS, context=context
        )
    else:
        server = smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)
    try:
        if settings.smtp_security == "starttls":
            server.starttls(context=context)
        if settings.smtp_user is not None:
            password = settings.smtp_password
            server.login(settings.smtp_user, password.get_secret_value() if password else "")
    except BaseException:
        server.close()
        raise
    return server
