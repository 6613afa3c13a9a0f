"""One error root; a child exists where a caller would act differently."""

from pathlib import Path


class AgentError(Exception):
    """Everything the agent expects to go wrong."""


class InputError(AgentError):
    """A file, recording or DBC given by the user cannot be used. Final: say it and stop."""


class ConfigError(InputError):
    """A config file breaks the schema: names the key, the file and, where it can be found, the line."""

    def __init__(self, reason: str, *, path: Path | None = None, line: int | None = None) -> None:
        where = "" if path is None else f"{path}:{line}: " if line is not None else f"{path}: "
        super().__init__(where + reason)
        self.reason = reason
        self.path = path
        self.line = line


class SourceLost(AgentError):
    """A bus, dongle or sensor went away. Expected: the app opens it again with backoff."""


class SourceSilenced(SourceLost):
    """A source was stopped for the car's sake: it woke again and again. Opened again like a lost one."""


class EndOfSource(AgentError):
    """A recording or a scenario has come to its end. The app stops in order."""


class LinkDown(AgentError):
    """The network or the broker is away or refused us. Expected: retried with backoff."""


class PublishRefused(LinkDown):
    """The broker answered a publish with a failure code (MQTT 5, 2.4): the record stays in the outbox."""

    def __init__(self, reason: str, *, code: int | None = None) -> None:
        super().__init__(reason)
        self.code = code


class StoreError(AgentError):
    """The disk refused a write. The record is not durable."""


class SealError(AgentError):
    """A sealed record cannot be opened, or is not what it claims to be."""


class ModelRefused(AgentError):
    """A model's hash, golden vectors or shape are not those of its manifest. Final: rules alone."""


class ModelDown(AgentError):
    """The inference process died, hung or answered nonsense. Expected: restarted with backoff."""


class BundleRejected(AgentError):
    """A pushed config bundle is not acceptable; the reason goes back to the operator."""


class ProtocolError(AgentError):
    """Bytes from the outside break their protocol."""


def first_failure(group: BaseExceptionGroup[LinkDown | StoreError]) -> LinkDown | StoreError:
    """Of the many tasks that saw the connection end, the first one's word."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    if not isinstance(found, (LinkDown, StoreError)):
        raise TypeError("a group of expected failures holds something else") from found
    return found
