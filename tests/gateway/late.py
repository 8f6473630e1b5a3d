"""Backends that are late by the gateway's clock, which is advanced meanwhile, so that tests neither wait nor race."""

from __future__ import annotations

import asyncio
import threading

from tests.gateway.running import RunningGateway
from tests.gateway.scripted import Connection, Script
from tests.patience import PATIENCE_S


def late(gateway: RunningGateway, script: Script, seconds: float, heard: threading.Event | None = None) -> Script:
    """Plays a script that ends when it is hung up on, and turns the gateway's clock by so many seconds until it does.

    Where there is an event, that has to happen first: the client has something of the answer.
    """

    async def play(connection: Connection) -> None:
        playing = asyncio.ensure_future(script(connection))
        try:
            if heard is not None:
                await asyncio.to_thread(heard.wait, PATIENCE_S)
            while not playing.done():
                gateway.turn(seconds)
                await asyncio.wait([playing], timeout=0.05)
            await playing
        finally:
            playing.cancel()

    return play
