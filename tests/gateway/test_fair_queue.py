"""Keys that wait for the same deployment have their turns, however many requests each of them has."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from gateway.backends.fair_queue import FairQueue
from gateway.core.errors import Overloaded
from tests.gateway.test_admission import gate, run


def test_one_keys_thousand_do_not_starve_anothers_one() -> None:
    async def main() -> list[str]:
        at, order = gate(max_in_flight=2, max_queue=2000, max_wait_s=1e6, batch_wait_s=1e6), []

        async def ask(key: str, batch: bool) -> None:
            await at.enter(batch, 1e6, key)
            order.append(key)
            await asyncio.sleep(1)
            at.leave(None)

        for batch in (False, True):
            assert at.try_enter(batch=False) and at.try_enter(batch=False)
            async with asyncio.TaskGroup() as group:
                for key in ("many",) * 500 + ("one",) + ("few",) * 3:
                    group.create_task(ask(key, batch))
                    await asyncio.sleep(0)
                at.leave(None)
                at.leave(None)
            assert at.in_flight == at.queued == 0
            assert order[:7] == ["many", "one", "few", "many", "few", "many", "few"]
            assert order[7:] == ["many"] * 497
            order.clear()
        return order

    run(main())


def test_a_queue_that_one_key_fills_has_room_for_another() -> None:
    async def main() -> None:
        at = gate(max_in_flight=1, max_queue=4, max_wait_s=1e6)
        assert at.try_enter(batch=False)
        many = [asyncio.create_task(at.enter(False, 1e6, "many")) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await at.enter(False, 1e6, "many")
        others = [asyncio.create_task(at.enter(False, 1e6, "other")) for _ in range(2)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        # The last of those who have more gave way, and only while they had more.
        refused = [task.done() and isinstance(task.exception(), Overloaded) for task in many]
        assert refused == [False, False, True, True] and not any(task.done() for task in others)
        with pytest.raises(Overloaded):
            await at.enter(False, 1e6, "other")
        assert at.queued == 4
        for task in (many[0], others[0], many[1], others[1]):
            at.leave(None)
            await task
        assert at.queued == 0

    run(main())


def test_how_long_one_waits_is_told_by_its_own_turn() -> None:
    async def main() -> None:
        at = gate(max_in_flight=1, max_queue=100, max_wait_s=10.0)  # a second each
        assert at.try_enter(batch=False)
        waiting = [asyncio.create_task(at.enter(False, 1e6, "many")) for _ in range(9)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert at.queued >= 8
        with pytest.raises(Overloaded):
            await at.enter(False, 1e6, "many")
        other = asyncio.create_task(at.enter(False, 1e6, "other"))
        await asyncio.sleep(0)
        assert not other.done()
        for task in [*waiting, other]:
            task.cancel()
        await asyncio.gather(*waiting, other, return_exceptions=True)
        assert at.queued == 0

    run(main())


def test_a_queue_loses_nobody() -> None:
    async def main() -> None:
        random = Random(7)
        for _ in range(200):
            queue, there = FairQueue(), []
            for _ in range(60):
                step = random.random()
                if step < 0.5 or not there:
                    key = random.choice("abc")
                    there.append((key, asyncio.get_running_loop().create_future()))
                    queue.add(*there[-1], 0.0)
                elif step < 0.7:
                    queue.remove(*there.pop(random.randrange(len(there))))
                elif step < 0.8:
                    key, gone = there.pop(random.randrange(len(there)))
                    gone.cancel()
                    queue.remove(key, gone)
                else:
                    first = queue.first()
                    assert first is not None
                    assert first[:2] == next(each for each in there if each[0] == first[0])
                    queue.take(*first[:2])
                    there.remove(first[:2])
                assert len(queue) == len(there)

    run(main())
