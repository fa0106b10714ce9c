"""Virtual time: what sleeps longer wakes later, one runs at a time, and a dead process does nothing more."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest

from tests.world.kernel import Kernel, Killed, Lock, Pool, Process

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


class TestTime:
    def test_it_moves_only_as_far_as_it_is_let(self) -> None:
        kernel = Kernel(NOON)
        rang: list[float] = []
        kernel.after(5, lambda: rang.append(kernel.elapsed))
        kernel.after(50, lambda: rang.append(kernel.elapsed))

        kernel.run(10)

        assert rang == [5]
        assert kernel.elapsed == 10

    def test_sleepers_wake_in_the_order_of_their_sleep(self) -> None:
        kernel = Kernel(NOON)
        story: list[str] = []

        def sleeper(name: str, *naps: float) -> None:
            for nap in naps:
                kernel.sleep(nap)
                story.append(f"{name} at {kernel.elapsed:g}")

        kernel.spawn("a", lambda: sleeper("a", 1, 4))
        kernel.spawn("b", lambda: sleeper("b", 2, 1))
        kernel.run(10)

        assert story == ["a at 1", "b at 2", "b at 3", "a at 5"]

    def test_a_thousand_naps_of_twenty_tasks_are_the_same_every_time(self) -> None:
        def story(seed: int) -> list[str]:
            kernel, random, told = Kernel(NOON), Random(seed), list[str]()

            def walk(name: str) -> None:
                for _ in range(50):
                    kernel.sleep(random.random())
                    told.append(f"{name} {kernel.elapsed:.6f}")

            for number in range(20):
                kernel.spawn(f"w{number}", lambda name=f"w{number}": walk(name))  # type: ignore[misc]
            kernel.run(100)
            return told

        assert len(story(1)) == 1_000
        assert story(1) == story(1)
        assert story(1) != story(2)


class TestProcesses:
    def test_a_killed_one_wakes_to_its_death(self) -> None:
        kernel, process, story = Kernel(NOON), Process("p"), list[str]()

        def work() -> None:
            try:
                kernel.sleep(5)
                story.append("woke")
            except Exception:
                story.append("caught")

        kernel.spawn("work", work, process)
        kernel.after(1, lambda: process.kill("test"))
        kernel.run(10)

        assert story == []

    def test_an_error_of_the_harness_reaches_the_test(self) -> None:
        kernel = Kernel(NOON)

        def breaks() -> None:
            kernel.sleep(1)
            raise ZeroDivisionError

        kernel.spawn("breaks", breaks)

        with pytest.raises(ZeroDivisionError):
            kernel.run(10)

    def test_nothing_is_left_running_at_the_end(self) -> None:
        kernel, story = Kernel(NOON), list[str]()

        def forever() -> None:
            try:
                kernel.sleep(1_000_000)
            except Killed:
                story.append("gone")
                raise

        kernel.spawn("forever", forever)
        kernel.run(1)
        kernel.close()

        assert story == ["gone"]


class TestTogether:
    def test_calls_of_a_pool_take_the_time_of_the_longest(self) -> None:
        kernel, took = Kernel(NOON), list[float]()

        def nap(seconds: float) -> float:
            kernel.sleep(seconds)
            return seconds * 2

        def work() -> None:
            with Pool(kernel, 8) as pool:
                assert list(pool.map(nap, [3, 1, 2])) == [6, 2, 4]
            took.append(kernel.elapsed)

        kernel.spawn("work", work)
        kernel.run(10)

        assert took == [3]

    def test_no_more_at_once_than_the_pool_has_places(self) -> None:
        kernel, took = Kernel(NOON), list[float]()

        def work() -> None:
            with Pool(kernel, 2) as pool:
                list(pool.map(lambda _: kernel.sleep(1), range(6)))
            took.append(kernel.elapsed)

        kernel.spawn("work", work)
        kernel.run(10)

        assert took == [3]

    def test_an_error_of_one_is_the_callers(self) -> None:
        kernel, story = Kernel(NOON), list[str]()

        def fails(number: int) -> None:
            kernel.sleep(1)
            if number == 2:
                raise ValueError(number)

        def work() -> None:
            with Pool(kernel, 4) as pool:
                try:
                    list(pool.map(fails, range(4)))
                except ValueError:
                    story.append("heard")

        kernel.spawn("work", work)
        kernel.run(10)

        assert story == ["heard"]

    def test_they_die_with_their_process(self) -> None:
        kernel, process, story = Kernel(NOON), Process("p"), list[int]()

        def step(number: int) -> None:
            kernel.sleep(number)
            story.append(number)

        def work() -> None:
            with Pool(kernel, 4) as pool:
                list(pool.map(step, [1, 2, 3, 4]))
            story.append(99)

        kernel.spawn("work", work, process)
        kernel.after(2.5, lambda: process.kill("test"))
        kernel.run(10)

        assert story == [1, 2]


class TestLocks:
    def test_who_waits_for_one_lets_its_holder_go_on(self) -> None:
        kernel, story = Kernel(NOON), list[str]()
        lock = Lock(kernel)

        def work(name: str) -> None:
            with lock:
                kernel.sleep(1)
                story.append(f"{name} at {kernel.elapsed:g}")

        for name in ("a", "b", "c"):
            kernel.spawn(name, lambda name=name: work(name))  # type: ignore[misc]
        kernel.run(10)

        assert story == ["a at 1", "b at 2", "c at 3"]

    def test_one_that_died_holds_nothing(self) -> None:
        kernel, process, story = Kernel(NOON), Process("p"), list[str]()
        lock = Lock(kernel)

        def hold() -> None:
            with lock:
                kernel.sleep(5)

        def want() -> None:
            with lock:
                story.append(f"got it at {kernel.elapsed:g}")

        kernel.spawn("hold", hold, process)
        kernel.spawn("want", want)
        kernel.after(1, lambda: process.kill("test"))
        kernel.run(10)

        assert story == ["got it at 5"]


def test_what_the_dying_leave_for_later_does_not_keep_a_world_from_ending() -> None:
    kernel = Kernel(NOON)

    def work() -> None:
        try:
            kernel.sleep(60)
        finally:
            kernel.after(60, lambda: None)

    kernel.spawn("work", work)
    kernel.run(1)

    kernel.close()

    assert kernel.elapsed < 60
