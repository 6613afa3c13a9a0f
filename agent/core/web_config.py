"""The local page, as config gives it."""

from ipaddress import ip_address
from typing import Annotated

import msgspec
from msgspec import Meta

from agent.core.section import Section


class Web(Section, frozen=True, kw_only=True):
    """The page on the box itself, for the driver. Off by default; on loopback, or on the service interface's address.

    names: what else a browser may call it by, besides host and, on loopback, localhost.
    """

    enabled: bool = False
    host: Annotated[str, Meta(max_length=45)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65_535)] = 8470
    names: Annotated[list[Annotated[str, Meta(pattern=r"^[a-z0-9.-]{1,64}$")]], Meta(max_length=8)] = msgspec.field(
        default_factory=list
    )

    def __post_init__(self) -> None:
        """Raise ValueError, which load tells as a ConfigError, where strangers could come to it."""
        try:
            address = ip_address(self.host)
        except ValueError as exc:
            raise ValueError(f"host: {self.host!r} is no IP address") from exc
        if address.is_unspecified or not (address.is_private or address.is_link_local):
            raise ValueError(f"host: {self.host} could be reached by strangers; give loopback or a private address")

    def hosts(self) -> list[str]:
        """Values of a request's Host that are this page's."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        names = [host, *self.names, *(["localhost"] if ip_address(self.host).is_loopback else [])]
        return [f"{name}:{self.port}" for name in names] + (names if self.port == 80 else [])
