"""Tokens take turns: whoever asks once waits for one round, not for somebody's whole flood."""

import asyncio
from collections.abc import Awaitable, Callable

from web.turns import Turns

FLOOD, OTHER, THIRD = 1, 2, 3


class Scene:
    """Blocks that run until they are told to end; `order` is who had a turn."""

    def __init__(self, threads: int = 1) -> None:
        self.turns = Turns(threads)
        self.order: list[int] = []
        self.ends: list[asyncio.Event] = []

    def ask(self, token: int) -> asyncio.Task[None]:
        return asyncio.create_task(self._asked(token))

    async def _asked(self, token: int) -> None:
        async with self.turns.turn(token):
            self.order.append(token)
            end = asyncio.Event()
            self.ends.append(end)
            await end.wait()

    async def end_next(self) -> None:
        self.ends.pop(0).set()
        await settled()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def run(act: Callable[[Scene], Awaitable[None]], threads: int = 1) -> list[int]:
    async def playing() -> list[int]:
        scene = Scene(threads)
        await act(scene)
        return scene.order

    return asyncio.run(playing())


def test_a_flood_keeps_nobody_waiting_for_more_than_a_round() -> None:
    async def act(scene: Scene) -> None:
        tasks = [scene.ask(token) for token in (FLOOD,) * 5]
        await settled()
        tasks += [scene.ask(OTHER), scene.ask(THIRD), scene.ask(OTHER)]
        await settled()
        while scene.ends:
            await scene.end_next()
        await asyncio.gather(*tasks)

    assert run(act) == [FLOOD, FLOOD, OTHER, THIRD, FLOOD, OTHER, FLOOD, FLOOD]


def test_as_many_at_a_time_as_there_are_threads_and_all_in_the_end() -> None:
    async def act(scene: Scene) -> None:
        tasks = [scene.ask(n) for n in range(6)]
        for left in range(6, 0, -1):
            await settled()
            assert len(scene.ends) == min(2, left)
            await scene.end_next()
        await asyncio.gather(*tasks)
        tasks = [scene.ask(n) for n in (7, 8, 9)]
        await settled()
        assert len(scene.ends) == 2
        while scene.ends:
            await scene.end_next()
        await asyncio.gather(*tasks)

    assert run(act, threads=2) == [0, 1, 2, 3, 4, 5, 7, 8, 9]


def test_who_gives_up_waiting_leaves_the_turn_to_the_next() -> None:
    """Also when its turn comes at the very moment."""

    async def act(scene: Scene) -> None:
        async with scene.turns.turn(1):
            gone, late, last = (scene.ask(n) for n in (2, 3, 4))
            await settled()
            gone.cancel()
            await settled()
        late.cancel()
        await settled()
        await scene.end_next()
        await last

    assert run(act) == [4]
