"""Makes what leads to the insurer, as config says: the uplink, the look at its certificate, the key of receipts."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from agent.core.best_time import BestTime
from agent.core.config import Config
from agent.core.erasure import ErasureReceipt
from agent.core.errors import ConfigError
from agent.core.keys import parse_ed25519, raw_bytes, read_key
from agent.core.ports import Clock, Hardware
from agent.core.records import SealedRecord
from agent.link import mqtt
from agent.link.dial import check_link
from agent.link.renewal import Renewal
from agent.link.signed_time import SignedTime
from agent.link.uplink import Uplink
from agent.store.outbox import Outbox


def make_uplink(
    config: Config,
    hardware: Hardware,
    clock: Clock,
    *,
    outbox: Outbox,
    best_time: BestTime,
    receipt_key: bytes,
    on_bundle: Callable[[bytes], None],
    on_desk: Callable[[bytes], None],
    on_erased: Callable[[ErasureReceipt, bytes], None],
    withheld: Callable[[SealedRecord], bool],
    uniform: Callable[[], float],
) -> Uplink:
    """The one way to the insurer, not connected yet."""
    directory, device = Path(config.store.directory), config.device.id
    return Uplink(
        config.link,
        outbox,
        device=device,
        groups=config.device.groups,
        receipt_key=receipt_key,
        notify=hardware.notify,
        clock=clock,
        connect=partial(mqtt.connect, now=best_time.now),
        on_bundle=on_bundle,
        on_desk=on_desk,
        on_erased=on_erased,
        withheld=withheld,
        on_signed_time=SignedTime(directory, best_time, device=device, receipt_key=receipt_key).take,
        uniform=uniform,
    )


def make_renewal(config: Config, best_time: BestTime) -> Renewal | None:
    """Who looks at when the link's certificate ends; None where there is none."""
    path = config.link.certificate
    return Renewal(Path(path), best_time.now) if path else None


def read_receipt_key(config: Config) -> bytes:
    """Check that the link can be used at all, before anything is opened. Raises InputError."""
    if not config.link.host:
        return b""
    check_link(config.link)
    if not config.trust.insurer_receipt_key:
        raise ConfigError("trust.insurer_receipt_key: without it no receipt can be believed, and nothing forgotten")
    return raw_bytes(read_key(Path(config.trust.insurer_receipt_key), parse_ed25519))
