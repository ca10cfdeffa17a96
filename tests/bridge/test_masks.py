"""What dead letters do not show."""

import orjson
import pytest

from hub.bridge.letters import Letter
from hub.bridge.masks import masker

from .test_mapping import settings

CARD = {"card": {"number": "4111"}, "sum": 12}


def letter(body: object) -> Letter:
    return Letter("1", "orders:orders/0@1", "forbidden", "no", 1, orjson.dumps(body), {"payload": CARD})


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({}, CARD),
        ({"payload": "data.data"}, {"id": "7", "data": CARD}),
        ({"format": "cloudevents"}, {"specversion": "1.0", "data": CARD}),
        ({"format": "cloudevents"}, CARD),
        ({"format": "dapr", "payload": "data.data"}, {"data": {"id": "7", "data": CARD}}),
        ({"payload": "{card: data.c}"}, {"c": CARD}),
    ],
)
def test_neither_the_publication_nor_the_bytes_show_it(changes: dict[str, str], body: object) -> None:
    found = masker(settings(mask=["payload.card.number"], **changes))(letter(body))
    assert b"4111" not in found.body
    assert found.event == {"payload": {"card": {}, "sum": 12}}


def test_a_digest_tells_equal_values() -> None:
    mask = masker(settings(mask=["payload.card.number"], mask_how="hash"))
    once, again = mask(letter(CARD)), mask(letter(CARD))
    assert once.body == again.body
    assert b"4111" not in once.body
    assert b"number" in once.body


def test_without_masks_bytes_stay_as_they_came() -> None:
    assert masker(settings())(letter(CARD)) == letter(CARD)
