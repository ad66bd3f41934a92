"""The stack: no picture in two hands, none lost, everybody's fair share, whatever pages do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from phones import served
from test_sort_browser import make_catalog

from upimagine.data.catalog import Catalog
from upimagine.data.verdicts import verdicts_by_person
from upimagine.studio.catalog_thread import CatalogThread
from upimagine.studio.people import people
from upimagine.studio.security import Door
from upimagine.studio.sort_app import make_stack, sort_app
from upimagine.studio.sorting import Sorting
from upimagine.studio.stack import EXPIRES_S, Stack

PICTURES = list(range(100, 130))
HANDS = ["left", "right", "third"]


class Sitting(RuleBasedStateMachine):
    """Pages that ask, swipe, undo, fall silent and come back, on one disjoint stack."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.stack = Stack(PICTURES, {"earlier": {100: "keep"}}, clock=lambda: self.now)
        self.pages: dict[str, list[int]] = {hand: [] for hand in HANDS}
        self.heard = dict.fromkeys(HANDS, 0.0)
        self.done = {100}

    @rule(hand=st.sampled_from(HANDS), want=st.integers(0, 12))
    def ask(self, hand: str, want: int) -> None:
        page = self.pages[hand]
        dealt = self.stack.deal(hand, hand, page, want)
        self.heard[hand] = self.now
        assert not set(dealt.more) & (set(page) | self.done), "never what is held or sorted already"
        assert set(dealt.gone) <= set(page) and len(dealt.more) <= want
        assert dealt.left == len(PICTURES) - len(self.done)
        self.pages[hand] = [picture for picture in page if picture not in dealt.gone] + dealt.more

    @rule(hand=st.sampled_from(HANDS))
    def swipe(self, hand: str) -> None:
        if self.pages[hand]:
            picture = self.pages[hand].pop(0)
            self.stack.note(hand, hand, picture, "reject")
            self.done.add(picture)
            self.heard[hand] = self.now

    @rule(hand=st.sampled_from(HANDS), data=st.data())
    def undo(self, hand: str, data: st.DataObject) -> None:
        mine = sorted(self.stack.said.get(hand, {}))
        if mine:
            picture = data.draw(st.sampled_from(mine))
            self.stack.note(hand, hand, picture, None)
            if not any(picture in words for words in self.stack.said.values()):
                self.done.discard(picture)
            self.pages[hand].insert(0, picture)
            self.heard[hand] = self.now

    @rule(seconds=st.sampled_from([1.0, EXPIRES_S + 1]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(order=st.permutations(PICTURES))
    def reorder(self, order: list[int]) -> None:
        self.stack.reorder(order)

    @invariant()
    def held_once(self) -> None:
        held = [picture for hand in self.stack._hands.values() for picture in hand.pictures - self.done]
        assert len(held) == len(set(held))

    def teardown(self) -> None:
        """Whatever happened, one page alone gets all that is left."""
        self.now += EXPIRES_S + 1
        got = []
        while more := self.stack.deal("last", "last", [], 5).more:
            for picture in more:
                self.stack.note("last", "last", picture, "keep")
            got += more
        assert sorted(got) == sorted(set(PICTURES) - self.done)


Sitting.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
test_sitting = Sitting.TestCase


def test_a_newcomer_gets_half_of_what_the_richest_holds() -> None:
    stack = Stack(PICTURES, {})
    first = stack.deal("a", "ann", [], 20).more
    first += stack.deal("a", "ann", first, 200).more
    assert first == PICTURES
    second = stack.deal("b", "ben", [], 200).more
    assert second == PICTURES[15:], "the last ones, which the other will not see soon"
    assert stack.deal("a", "ann", first, 0).gone == second


def test_a_shared_stack_is_everybodys_own() -> None:
    stack = Stack(PICTURES, {"ann": {100: "keep"}}, shared=True)
    assert stack.deal("a", "ann", [], 3).more == [101, 102, 103]
    assert stack.deal("b", "ben", [], 3).more == [100, 101, 102]
    assert stack.deal("c", "ann", [], 3).more == [104, 105, 106], "her second phone"
    stack.note("b", "ben", 100, "reject")
    assert stack.others("ben", 100) == {"ann": "keep"}
    assert stack.deal("a", "cleo", [101], 1).more == [100], "the phone in other hands"
    (ann, ben) = sorted(people(stack.said, {}), key=lambda person: person.who)[:2]
    assert (ann.sorted, ann.both, ann.agreed) == (ben.sorted, ben.both, ben.agreed) == (1, 1, 0)


def test_a_second_round_shows_what_was_sorted() -> None:
    stack = Stack([100, 101], {"ann": {100: "keep", 101: "keep"}}, again=True)
    assert stack.deal("a", "ann", [], 9).more == [100, 101]
    stack.note("a", "ann", 100, "reject")
    stack.note("a", "ann", 100, None)
    assert stack.deal("a", "ann", [100, 101], 9).gone == []


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    return make_catalog(tmp_path, 6)


def talk(catalog: Path, *messages: dict[str, object]) -> list[httpx.Response]:
    """One after the other to a server of their own."""
    asked = CatalogThread(catalog, "test")
    sorting = Sorting(asked, asked.now(lambda catalog: make_stack(catalog, "clean", shared=False)), "ann")
    app = sort_app(asked, sorting, frozenset({"127.0.0.1:1"}), Door(locked=False))

    async def talking() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:1") as client:
            return [
                await client.post("/sort/message", json={"catalog": sorting.catalog, "who": "ann"} | message)
                for message in messages
            ]

    try:
        return asyncio.run(talking())
    finally:
        asked.close()


def test_a_message_that_is_sent_twice_counts_once(catalog: Path) -> None:
    hand, swipe = str(uuid4()), {"uuid": str(uuid4()), "verdict": "keep", "ago_ms": 60_000}
    first = talk(catalog, {"hand": hand, "want": 2})[0].json()
    assert len(first["more"]) == 2 and first["left"] == 6
    swipe["picture"] = first["more"][0]
    message = {"hand": hand, "swipes": [swipe], "holds": first["more"][1:], "want": 1}
    answers = [answer.json() for answer in talk(catalog, message, message)]
    assert [answer["left"] for answer in answers] == [5, 5] and answers[0]["unknown"] == []
    with Catalog(catalog) as opened:
        assert verdicts_by_person(opened.connection) == {"ann": {1: "keep"}}
        (given, began) = opened.connection.execute(
            "SELECT labels.given, writers.began FROM labels JOIN writers ON writers.id = labels.writer"
        ).fetchone()
    assert given < began, "the time is that of the swipe, a minute ago"


def test_answers_keep_to_their_description(catalog: Path) -> None:
    with served(catalog) as (url, _):
        known = httpx.get(f"{url}/sort/about").json()["catalog"]
        tried = set()
        for found in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations():
            operation = found.ok()
            tried.add(operation.path)

            @given(case=operation.as_strategy(), really=st.booleans())
            @settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
            def answers(case: schemathesis.Case, really: bool) -> None:
                if really and isinstance(case.body, dict) and "catalog" in case.body:
                    case.body["catalog"] = known  # or hardly anything but 409 would be seen
                case.call_and_validate()

            answers()
    assert {"/sort/message", "/sort/about", "/sort/people", "/picture/{side_px}/{content_id}"} <= tried


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"catalog": "another"}, 409),
        ({"who": ""}, 422),
        ({"who": "x" * 41}, 422),
        ({"who": "a\nb"}, 422),
        ({"hand": "me"}, 422),
        ({"want": 501}, 422),
        ({"more": 1}, 422),
        ({"holds": ["../../etc/passwd"]}, 422),
        ({"swipes": [{"uuid": str(uuid4()), "picture": "0" * 64, "verdict": "perhaps"}]}, 422),
        ({"swipes": [{"uuid": str(uuid4()), "picture": "0" * 64, "ago_ms": -1}]}, 422),
        ({"swipes": [{"uuid": str(uuid4()), "picture": "0" * 64, "verdict": "keep"}]}, 200),
        ({"holds": ["0" * 64]}, 200),
    ],
)
def test_what_is_no_message_changes_nothing(catalog: Path, wrong: dict[str, object], code: int) -> None:
    (answer,) = talk(catalog, {"hand": str(uuid4())} | wrong)
    assert answer.status_code == code
    with Catalog(catalog) as opened:
        assert opened.connection.execute("SELECT count(*) FROM labels").fetchone()[0] == 0
