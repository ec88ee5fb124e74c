"""One exception tree. Each message names the culprit, what is wrong with it, and the fix.

Command-line entry points turn a `RecsysError` into one line and exit code 1; anything else is
a bug and keeps its traceback.
"""

from __future__ import annotations


class RecsysError(Exception):
    """Base of every error that the pipeline raises on purpose.

    Args:
        culprit: The file, setting, tenant, partition or column at fault.
        problem: What is wrong, with the offending value.
        fix: What the reader can do about it.
    """

    # its problem is in the words of a library, which may quote a row: not for logs
    quotes_others = False

    def __init__(self, culprit: str, problem: str, fix: str = "") -> None:
        self.culprit = culprit
        self.problem = problem
        self.fix = fix
        super().__init__(f"{culprit}: {problem}." + (f" {fix}." if fix else ""))

    def __reduce__(self) -> tuple[type[RecsysError], tuple[str, str, str]]:
        return type(self), (self.culprit, self.problem, self.fix)


class SettingsError(RecsysError):
    """A setting is missing, has no meaning, or contradicts another."""


class TenantError(RecsysError):
    """A tenant's name or configuration is not acceptable."""


class MappingError(RecsysError):
    """A file mapping is wrong; the culprit names its file and line."""


class SourceError(RecsysError):
    """An input file can't be opened or has no usable content."""


class LandingError(RecsysError):
    """The landing zone refused a write, or a batch does not exist."""


class KeyReusedError(LandingError):
    """An idempotency key has landed other content."""


class OffsetError(LandingError):
    """A range of a Kafka topic does not begin where the last landed one ended."""


class KafkaError(RecsysError):
    """A broker does not answer, or a topic or its records are not there."""


class ServiceError(RecsysError):
    """An upload service refuses, or does not answer."""


class StorageError(RecsysError):
    """A stored object is missing, torn or outside its prefix."""


class StaleInputError(StorageError):
    """A publication was refused because a newer one is already published. Run it again."""


class ReleaseError(RecsysError):
    """A release can't be made of what is published, isn't there, or isn't what its manifest says."""


class ContractError(RecsysError):
    """Rows of our own making break a contract: a bug, nothing was published."""
