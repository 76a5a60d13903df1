"""So many messages a turn of the loop, in the order in which they came."""

from __future__ import annotations

import asyncio

from ringwatch_collector.turnstile import Turnstile


async def test_more_than_a_turn_holds_wait_for_the_next_ones_in_order() -> None:
    """Something else gets its turn between them."""
    turnstile, passed = Turnstile(2), []

    async def go(number: int) -> None:
        turn = turnstile.take()
        if turn is not None:
            await turn
        passed.append(number)

    going = [asyncio.create_task(go(number)) for number in range(7)]
    seen = []
    while not all(task.done() for task in going):
        await asyncio.sleep(0)
        seen.append(len(passed))
    assert passed == list(range(7))
    assert max(after - before for before, after in zip([0, *seen], seen, strict=False)) == 2


async def test_who_gives_up_in_the_line_holds_nobody_up() -> None:
    """A stream that ends while it waits leaves its place to the next."""
    turnstile = Turnstile(1)
    assert turnstile.take() is None
    gone, waits = turnstile.take(), turnstile.take()
    assert gone is not None
    assert waits is not None
    gone.cancel()
    await asyncio.wait_for(waits, 5.0)


async def test_an_idle_turnstile_lets_the_next_through_at_once() -> None:
    """Waiting is for when it is full."""
    turnstile = Turnstile(1)
    for _ in range(3):
        assert turnstile.take() is None
        await asyncio.sleep(0)
