"""Puts a signed bundle where the vehicles look for it."""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core.config import Link
from agent.core.link_ports import Connect
from agent.link import mqtt, wire
from agent.remote.trust import Manifest
from fleet.bundle import sign_bundle


async def push(
    link: Link,
    manifest: Manifest,
    operator_key: Ed25519PrivateKey,
    *,
    connect: Connect = mqtt.connect,
    said: Callable[[str], None] = lambda _: None,
) -> bytes:
    """Publish, retained: a car that is off finds it when it comes back. Returns the bundle.

    Raises LinkDown, PublishRefused among it. The broker has it then; whether a car runs it, its own event tells.
    """
    bundle = sign_bundle(manifest, operator_key)
    topics = [wire.config_topic(vehicle) for vehicle in manifest.vehicles]
    topics += [wire.group_config_topic(group) for group in manifest.groups]
    async with connect(link, client_id="operator", subscriptions=()) as session:
        for topic in topics:
            await session.publish(topic, bundle, retain=True)
            said(f"{manifest.id}: {len(bundle)} bytes to {topic}")
    return bundle
